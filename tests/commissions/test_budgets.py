from __future__ import annotations

from dataclasses import replace
from itertools import chain

from hypothesis import given, settings
from hypothesis import strategies as st

from app.commissions.budgets import within
from app.commissions.rules import split
from tests.commissions.test_split import WHO, rule

LINE = split(1_000, rule(), WHO)  # 300 and 100


def told(**left: int) -> list[tuple[int, str | None]]:
    promoters = {"ptc_1": left["first"], "ptc_2": left["second"]} if "first" in left else None
    found = within([LINE, LINE], campaign=left.get("campaign"), promoters=promoters)
    return [(part.amount_minor, part.reason) for parts in found for part in parts]


def test_without_budgets_parts_stay_as_they_are() -> None:
    assert within([LINE, LINE], campaign=None, promoters=None) == [LINE, LINE]


def test_lines_are_served_in_turn() -> None:
    assert told(campaign=450) == [(300, None), (100, None), (50, "budget"), (0, "budget")]


def test_each_promoter_is_clamped_alone() -> None:
    assert told(first=350, second=1_000) == [(300, None), (100, None), (50, "promoter_budget"), (100, None)]


def test_the_tighter_budget_is_the_reason() -> None:
    assert told(campaign=420, first=310, second=100)[2:] == [(10, "promoter_budget"), (0, "promoter_budget")]
    assert told(campaign=405, first=310, second=100)[2:] == [(5, "budget"), (0, "budget")]


def test_who_earns_nothing_anyway_keeps_the_reason() -> None:
    absent = [replace(LINE[0], amount_minor=0, reason="binding_ended")]
    assert within([absent], campaign=0, promoters={"ptc_1": 0}) == [absent]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.integers(0, 10**9), max_size=5),
    st.none() | st.integers(0, 10**9),
    st.none() | st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)),
)
def test_whatever_is_left_is_never_exceeded_and_never_left_unused(
    bases: list[int], campaign: int | None, each: tuple[int, int] | None
) -> None:
    promoters = {"ptc_1": each[0], "ptc_2": each[1]} if each else None
    wanted = [split(base, rule(), WHO) for base in bases]
    found = within(wanted, campaign=campaign, promoters=promoters)
    pairs = list(zip(chain(*wanted), chain(*found), strict=True))
    assert all(0 <= other.amount_minor <= one.amount_minor for one, other in pairs)
    total = sum(other.amount_minor for _, other in pairs)
    assert campaign is None or total <= campaign
    for participant_id, most in (promoters or {}).items():
        assert sum(other.amount_minor for _, other in pairs if other.beneficiary_id == participant_id) <= most
    if promoters is None:
        asked = sum(one.amount_minor for one, _ in pairs)
        assert total == (asked if campaign is None else min(asked, campaign))
    cut = [other for one, other in pairs if other.amount_minor < one.amount_minor]
    assert {other.reason for other in cut} <= {"budget", "promoter_budget"}
