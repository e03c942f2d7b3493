"""Which rule wins: a table of cases, and what holds for any rules."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.campaigns import terms
from app.campaigns.document import CommissionLevel, CommissionRule, PromoterTier, SpecialRule
from app.commissions.matching import Performance, offers, tier_reached
from app.commissions.rules import Invitation, Standing, split, standings
from app.kit.money import MAX_MINOR
from tests.commissions.test_split import CHAIN, PAID

TIERS = (
    PromoterTier(key="silver", min_orders=3),
    PromoterTier(key="gold", min_orders=10, min_amount_minor=100_000),
)


def rate(level: int, bps: int) -> CommissionLevel:
    return CommissionLevel(level=level, rate_bps=bps)


def special(key: str, *levels: CommissionLevel, product: str | None = None, tier: str | None = None) -> SpecialRule:
    return SpecialRule(key=key, product=product, tier=tier, levels=levels)


RULES = CommissionRule(
    levels=(rate(1, 1_000), rate(2, 500)),
    tiers=TIERS,
    rules=(
        special("book", CommissionLevel(level=1, amount_minor=300), product="案例集"),
        special("silver_rates", rate(1, 2_000), tier="silver"),
        special("gold_rates", rate(1, 3_000), rate(2, 800), tier="gold"),
        special("gold_book", rate(1, 4_000), product="案例集", tier="gold"),
    ),
)


@pytest.mark.parametrize(
    ("level", "base", "product", "tier", "expected"),
    [
        (1, 1_000, None, None, [("default", 100)]),
        (1, 1_000, "年度会员", None, [("default", 100)]),
        (1, 1_000, "案例集", None, [("book", 300), ("default", 100)]),
        (1, 9_000, "案例集", None, [("default", 900), ("book", 300)]),
        (1, 1_000, None, "silver", [("silver_rates", 200), ("default", 100)]),
        (1, 1_000, None, "gold", [("gold_rates", 300), ("silver_rates", 200), ("default", 100)]),
        (
            *(1, 1_000, "案例集", "gold"),
            [("gold_book", 400), ("book", 300), ("gold_rates", 300), ("silver_rates", 200), ("default", 100)],
        ),
        (2, 1_000, "案例集", "silver", [("default", 50)]),
        (2, 1_000, None, "gold", [("gold_rates", 80), ("default", 50)]),
    ],
)
def test_of_the_rules_that_match_the_highest_wins_and_ties_go_by_key(
    level: int, base: int, product: str | None, tier: str | None, expected: list[tuple[str, int]]
) -> None:
    found = offers(RULES, level=level, base_minor=base, product=product, tier=tier)
    assert [(offer.rule_key, offer.amount_minor) for offer in found] == expected


@pytest.mark.parametrize(
    ("orders", "amount", "expected"),
    [(2, 99_999, None), (3, 0, "silver"), (9, 99_999, "silver"), (10, 0, "gold"), (1, 100_000, "gold")],
)
def test_a_tier_is_reached_by_orders_or_by_amount(orders: int, amount: int, expected: str | None) -> None:
    assert tier_reached(TIERS, Performance(orders, amount)) == expected


def test_the_tiers_of_both_levels_are_their_own() -> None:
    who = {1: Standing(1, "ptc_1", "mbr_1"), 2: Standing(2, "ptc_2", "mbr_2", tier="gold")}
    parts = split(1_000, RULES, who)
    assert [(part.won.rule_key if part.won else None, part.amount_minor) for part in parts] == [
        ("default", 100),
        ("gold_rates", 80),
    ]


def test_a_line_that_no_rule_speaks_of_says_so() -> None:
    only = CommissionRule(rules=(special("book", rate(1, 1_000), product="案例集"),))
    (part,) = split(1_000, only, {1: Standing(1, "ptc_1", "mbr_1")}, product="别的")
    assert (part.amount_minor, part.reason, part.won) == (0, "no_rule", None)


OWN = Invitation("ptc_0", "mbr_0", True)


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (None, [("ptc_1", None), ("ptc_2", None)]),
        (OWN, [("ptc_0", None), ("ptc_1", None)]),
        (Invitation("ptc_0", "mbr_0", False), [("ptc_1", None), ("ptc_2", None)]),
    ],
)
def test_a_promoter_who_buys_stands_below_the_inviter(
    own: Invitation | None, expected: list[tuple[str | None, str | None]]
) -> None:
    found = standings("mbr_0", CHAIN, levels=(1, 2), bound_until=None, paid_at=PAID, own=own)
    assert [(found[level].participant_id, found[level].reason) for level in (1, 2)] == expected


def test_the_own_part_needs_no_binding() -> None:
    found = standings("mbr_0", CHAIN, levels=(1, 2), bound_until=PAID, paid_at=PAID, own=OWN)
    assert [found[level].reason for level in (1, 2)] == [None, "binding_ended"]


PRODUCTS, TIER_KEYS = [None, "a", "b"], [None, "silver", "gold"]


@st.composite
def levels(draw: st.DrawFn) -> tuple[CommissionLevel, ...]:
    numbers = draw(st.lists(st.sampled_from([1, 2]), unique=True, min_size=1))
    fixed, bps = st.integers(0, 10**9), st.integers(0, 10_000)
    return tuple(
        CommissionLevel(level=number, amount_minor=draw(fixed)) if draw(st.booleans()) else rate(number, draw(bps))
        for number in numbers
    )


@st.composite
def commissions(draw: st.DrawFn) -> CommissionRule:
    rules = tuple(
        SpecialRule(
            key=f"rule_{number}",
            product=draw(st.sampled_from(PRODUCTS)),
            tier=draw(st.sampled_from(TIER_KEYS)),
            levels=draw(levels()),
        )
        for number in range(draw(st.integers(0, 4)))
    )
    cap = draw(st.integers(0, 10_000))
    return CommissionRule(levels=draw(levels()), rules=rules, tiers=TIERS, rate_cap_bps=cap)


@settings(max_examples=300, deadline=None)
@given(commissions(), st.integers(0, MAX_MINOR), *(st.sampled_from(one) for one in (PRODUCTS, TIER_KEYS, TIER_KEYS)))
def test_whatever_the_rules_parts_stay_under_the_cap_and_the_best_match_wins(
    rule: CommissionRule, base: int, product: str | None, first: str | None, second: str | None
) -> None:
    who = {n: Standing(n, f"ptc_{n}", f"mbr_{n}", tier=tier) for n, tier in ((1, first), (2, second))}
    parts = split(base, rule, who, product=product)
    assert all(part.amount_minor >= 0 for part in parts)
    assert sum(part.amount_minor for part in parts) <= base * rule.rate_cap_bps // 10_000 <= base
    assert sum(part.won.amount_minor for part in parts if part.won) <= terms.dearest(rule, base, product)
    for part in parts:
        assert part.amount_minor > 0 or part.reason
        if part.won is not None:
            assert part.amount_minor <= part.won.amount_minor
            assert all(
                (-part.won.amount_minor, part.won.rule_key) < (-offer.amount_minor, offer.rule_key)
                for offer in part.lost
            )


@settings(max_examples=200, deadline=None)
@given(commissions())
def test_rules_without_a_fault_are_never_cut_where_all_of_them_are_rates(rule: CommissionRule) -> None:
    """So the check before publishing has looked at every pair of earners."""
    if list(terms.faults(rule)) or any(level.rate_bps is None for one in rule.all_rules() for level in one.levels):
        return
    for product in PRODUCTS:
        for first in TIER_KEYS:
            who = {n: Standing(n, f"ptc_{n}", f"mbr_{n}", tier=tier) for n, tier in ((1, first), (2, "gold"))}
            assert not any(part.reason == "rate_cap" for part in split(10_000, rule, who, product=product))
