from __future__ import annotations

import re

import pytest

from app.tracking.visitors import Visitor, Visitors

SECRET = b"k" * 32
TODAY = 20_778


def visit(
    cookie: str | None = None,
    *,
    address: str = "10.0.0.1",
    agent: str = "WeChat",
    day: int = TODAY,
    key: bytes = SECRET,
) -> Visitor:
    return Visitors(key).recognise(cookie=cookie, address=address, user_agent=agent, day=day)


def test_without_a_cookie_address_and_agent_tell_visitors_of_a_day_apart() -> None:
    assert visit().counted == visit().counted
    others = {visit(address="10.0.0.2").counted, visit(agent="QQ").counted, visit(day=TODAY + 1).counted}
    assert len(others | {visit().counted}) == 4


def test_taking_the_cookie_makes_nobody_a_second_visitor_that_day() -> None:
    first = visit()
    assert first.cookie is not None
    assert visit(first.cookie, address="10.9.9.9").counted == first.counted


def test_from_the_second_day_on_cookies_tell_people_behind_one_address_apart() -> None:
    one, two = visit(), visit()
    assert one.counted == two.counted
    tomorrow = {visit(one.cookie, day=TODAY + 1).counted, visit(two.cookie, day=TODAY + 1).counted}
    assert len(tomorrow) == 2
    assert visit(one.cookie, day=TODAY + 2).counted in tomorrow


def test_a_good_cookie_is_not_set_again() -> None:
    assert visit(visit().cookie).cookie is None


@pytest.mark.parametrize("forged", ["", ".", "é", "x", "a.b", "A" * 40 + "." + "B" * 43])
def test_a_cookie_that_we_did_not_sign_is_nobodys(forged: str) -> None:
    assert visit(forged).cookie is not None
    assert visit(forged).counted == visit().counted


def test_another_keys_cookie_is_not_ours() -> None:
    assert visit(visit(key=b"o" * 32).cookie).cookie is not None


def test_names_of_two_merchants_are_two_visitors() -> None:
    assert Visitors(SECRET).named("mch_m", "device-1") != Visitors(SECRET).named("mch_n", "device-1")


def test_what_is_counted_is_16_characters_as_rows_have_them() -> None:
    visitors = Visitors(SECRET)
    for place in range(50):
        first = visit(address=f"10.0.1.{place}")
        names = [first.counted, visit(first.cookie, day=TODAY + 1).counted, visitors.named("mch_m", f"{place}")]
        assert all(re.fullmatch(r"[A-Za-z0-9_-]{16}", name) for name in names), names
