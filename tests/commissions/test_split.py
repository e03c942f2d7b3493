from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.campaigns.document import CommissionLevel, CommissionRule
from app.commissions.rules import Invitation, Standing, split, standings
from app.kit.money import MAX_MINOR

WHO = {level: Standing(level, f"ptc_{level}", f"mbr_{level}") for level in (1, 2)}
PAID = datetime(2026, 11, 21, tzinfo=UTC)


def rule(first: int | None = 3_000, second: int | None = 1_000, *, cap: int = 5_000) -> CommissionRule:
    rates = ((1, first), (2, second))
    levels = tuple(CommissionLevel(level=level, rate_bps=rate) for level, rate in rates if rate is not None)
    return CommissionRule(levels=levels, rate_cap_bps=cap)


@pytest.mark.parametrize(
    ("base", "expected"),
    [(5_900, [1_770, 590]), (1, [0, 0]), (33, [9, 3]), (0, [0, 0]), (MAX_MINOR, [3 * 10**14, 10**14])],
)
def test_rates_are_floored_once_per_level(base: int, expected: list[int]) -> None:
    assert [part.amount_minor for part in split(base, rule(), WHO)] == expected


def test_the_arithmetic_is_told() -> None:
    exact, floored = split(5_900, rule(), WHO)[0], split(33, rule(), WHO)[0]
    assert exact.arithmetic == "5900 × 3000 ÷ 10000 = 1770"
    assert floored.arithmetic == "33 × 3000 ÷ 10000 → floor 9"


def test_a_level_without_a_person_leaves_its_part_with_the_merchant() -> None:
    who = {1: WHO[1], 2: Standing(2, reason="no_inviter")}
    parts = split(5_900, rule(), who)
    assert [(part.amount_minor, part.reason) for part in parts] == [(1_770, None), (0, "no_inviter")]


def test_the_cap_cuts_the_farther_level_first() -> None:
    parts = split(1_000, rule(4_000, 2_000), WHO)
    assert [(part.amount_minor, part.reason) for part in parts] == [(400, None), (100, "rate_cap")]
    assert parts[1].arithmetic == "1000 × 2000 ÷ 10000 = 200, of which 100 is left under the cap"


def test_fixed_sums_never_exceed_what_a_small_line_allows() -> None:
    fixed = CommissionRule(
        levels=(CommissionLevel(level=1, amount_minor=800), CommissionLevel(level=2, amount_minor=300))
    )
    assert [part.amount_minor for part in split(10_000, fixed, WHO)] == [800, 300]
    assert [part.amount_minor for part in split(1_000, fixed, WHO)] == [500, 0]


def test_what_rounds_to_nothing_says_so() -> None:
    assert split(1, rule(), WHO)[0].reason == "rounds_to_zero"


def check_parts(base: int, first: int | None, second: int | None, cap: int, absent: set[int]) -> None:
    who = {level: Standing(level, reason="no_inviter") if level in absent else WHO[level] for level in (1, 2)}
    parts = split(base, rule(first, second, cap=cap), who)
    assert all(part.amount_minor >= 0 for part in parts)
    assert sum(part.amount_minor for part in parts) <= base * cap // 10_000 <= base
    for part in parts:
        assert part.amount_minor <= base * (part.rate_bps or 0) // 10_000
        assert part.amount_minor == 0 or part.level not in absent
        assert part.amount_minor > 0 or part.reason


rates = st.none() | st.integers(0, 10_000)


@settings(max_examples=500, deadline=None)
@given(st.integers(0, MAX_MINOR), rates, rates, st.integers(0, 10_000), st.sets(st.sampled_from([1, 2])))
def test_parts_are_never_negative_and_never_above_cap_or_base(
    base: int, first: int | None, second: int | None, cap: int, absent: set[int]
) -> None:
    check_parts(base, first, second, cap, absent)


def test_the_same_holds_for_ten_thousand_random_lines() -> None:
    """Hypothesis looks for corners; this covers the ground."""
    dice = Random(20_261_121)
    for _ in range(10_000):
        base = int(10 ** dice.uniform(0, 15))
        absent = {level for level in (1, 2) if dice.random() < 0.2}
        check_parts(base, dice.randint(0, 10_000), dice.randint(0, 10_000), dice.randint(0, 10_000), absent)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10_000))
def test_fixed_parts_stay_under_the_cap_too(base: int, first: int, second: int, cap: int) -> None:
    levels = (CommissionLevel(level=1, amount_minor=first), CommissionLevel(level=2, amount_minor=second))
    parts = split(base, CommissionRule(levels=levels, rate_cap_bps=cap), WHO)
    assert sum(part.amount_minor for part in parts) <= base * cap // 10_000


CHAIN = [Invitation("ptc_1", "mbr_1", True), Invitation("ptc_2", "mbr_2", True)]


def reasons(chain: list[Invitation], *, bound_until: datetime | None = None, buyer: str = "mbr_0") -> list[str | None]:
    found = standings(buyer, chain, levels=(1, 2), bound_until=bound_until, paid_at=PAID)
    return [found[level].reason for level in (1, 2)]


def test_the_two_nearest_ancestors_earn() -> None:
    assert reasons(CHAIN) == [None, None]


def test_a_buyer_without_inviter_makes_nobody_earn() -> None:
    assert reasons([]) == ["no_inviter", "no_inviter"]
    assert reasons(CHAIN[:1]) == [None, "no_inviter"]


def test_who_is_no_promoter_earns_nothing_and_does_not_pass_it_up() -> None:
    assert reasons([Invitation("ptc_1", "mbr_1", False), CHAIN[1]]) == ["not_promoter", None]


def test_nobody_earns_on_their_own_purchase() -> None:
    assert reasons(CHAIN, buyer="mbr_2") == [None, "self_purchase"]


@pytest.mark.parametrize(("after", "reason"), [(timedelta(seconds=1), None), (timedelta(0), "binding_ended")])
def test_a_binding_that_has_ended_pays_no_level(after: timedelta, reason: str | None) -> None:
    assert reasons(CHAIN, bound_until=PAID + after) == [reason, reason]


@pytest.mark.parametrize(("level", "expected"), [(1, ["self_purchase", None]), (2, [None, "self_purchase"])])
def test_nor_by_another_account_of_the_same_person(level: int, expected: list[str | None]) -> None:
    chain = [replace(one, is_buyer=one.participant_id == f"ptc_{level}") for one in CHAIN]
    assert reasons(chain) == expected
