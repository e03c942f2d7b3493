from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from app.commissions.rules import Row, reversal
from app.kit.money import MAX_MINOR


def held(*amounts: int) -> list[Row]:
    return [Row(amount, "held" if amount > 0 else "payable") for amount in amounts]


def test_a_partial_refund_takes_its_share_from_what_is_payable() -> None:
    found = reversal(held(1_770), line_minor=5_900, refunded_minor=2_950)
    assert found is not None
    assert (found.amount_minor, found.closes, found.moves) == (-885, False, {"payable": -885})


def test_a_full_refund_of_a_held_commission_closes_it_in_its_bucket() -> None:
    found = reversal(held(1_770), line_minor=5_900, refunded_minor=5_900)
    assert found is not None
    assert (found.amount_minor, found.closes, found.moves) == (-1_770, True, {"held": -1_770})


def test_the_last_part_sets_both_buckets_right() -> None:
    found = reversal(held(100, -40), line_minor=500, refunded_minor=500)
    assert found is not None
    assert (found.amount_minor, found.closes, found.moves) == (-60, True, {"held": -100, "payable": 40})


def test_a_paid_commission_is_never_closed_but_owed_back() -> None:
    for status in ("in_payout", "paid"):
        found = reversal([Row(1_770, status)], line_minor=5_900, refunded_minor=5_900)
        assert found is not None
        assert (found.amount_minor, found.closes, found.moves) == (-1_770, False, {"payable": -1_770})


def test_a_rejected_commission_has_nothing_to_take_back() -> None:
    rows = [Row(1_770, "rejected"), Row(-1_770, "rejected")]
    assert reversal(rows, line_minor=5_900, refunded_minor=5_900) is None


def test_a_step_too_small_to_matter_makes_no_row() -> None:
    assert reversal(held(1), line_minor=100, refunded_minor=1) is None


def check_refunds(line: int, earned: int, cuts: list[int]) -> None:
    """Refund the line up to each of `cuts`, then wholly."""
    rows, standing = [Row(earned, "held")], {"held": earned}
    for refunded in [*sorted(cuts), line]:
        found = reversal(rows, line_minor=line, refunded_minor=refunded)
        if found is None:
            continue
        for bucket, amount in found.moves.items():
            standing[bucket] = standing.get(bucket, 0) + amount
        assert sum(found.moves.values()) == found.amount_minor
        rows.append(Row(found.amount_minor, "payable"))
        assert -sum(row.amount_minor for row in rows[1:]) == earned * refunded // line <= earned
        if found.closes:
            rows = [Row(row.amount_minor, "reversed") for row in rows]
    assert sum(row.amount_minor for row in rows) == 0
    assert not any(standing.values())


@settings(max_examples=500, deadline=None)
@given(st.integers(1, MAX_MINOR), st.integers(0, 10_000), st.lists(st.integers(0, 10_000), max_size=8))
def test_any_sequence_of_refunds_takes_back_no_more_and_in_full_exactly_what_was_earned(
    line: int, rate_bps: int, steps: list[int]
) -> None:
    check_refunds(line, max(1, line * rate_bps // 10_000), [line * step // 10_000 for step in steps])


def test_the_same_holds_for_ten_thousand_random_sequences() -> None:
    """Hypothesis looks for corners; this covers the ground."""
    dice = Random(20_261_121)
    for _ in range(10_000):
        line = int(10 ** dice.uniform(0, 15))
        check_refunds(line, dice.randint(1, line), [dice.randint(0, line) for _ in range(dice.randint(0, 6))])
