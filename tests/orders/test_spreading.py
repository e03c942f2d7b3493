"""Where refunds end does not hang on how they were cut, nor on which came first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise, permutations
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.kit.errors import Unprocessable
from app.kit.money import MAX_MINOR, apportion
from app.orders.rules import NewLine, NewRefund
from app.orders.spreading import Standing, spread

Given = tuple[str | None, int]
Lines = Sequence[Standing]


def order(*amounts: int) -> Lines:
    return [Standing(str(place), amount) for place, amount in enumerate(amounts)]


def refund(lines: Lines, given: Given) -> tuple[Lines, Mapping[str, int]]:
    """What the lines are after it, and what it took of each."""
    name, amount = given
    named = () if name is None else (NewLine(name, amount),)
    found = spread(NewRefund("r", amount, lines=named), lines, currency="CNY")
    after = []
    for line in lines:
        taken = found.get(line.external_line_id)
        if taken is not None:
            both = line.refunded_minor + taken.amount_minor, line.named_minor + taken.named_minor
            line = replace(line, refunded_minor=both[0], named_minor=both[1])
        after.append(line)
    return after, {name: taken.amount_minor for name, taken in found.items()}


def end(lines: Lines, told: Sequence[Given]) -> list[int]:
    """What is refunded of each line in the end; on the way no line ever gets anything back."""
    for each in told:
        lines, taken = refund(lines, each)
        assert sum(taken.values()) == each[1]
        assert all(part >= 0 for part in taken.values())
        assert all(0 <= line.named_minor <= line.refunded_minor <= line.amount_minor for line in lines)
    return [line.refunded_minor for line in lines]


def test_one_refund_is_cut_in_proportion() -> None:
    assert end(order(2_900, 3_000), [(None, 1_001)]) == [492, 509]


def test_differences_of_floors_would_take_from_a_line_what_they_had_given() -> None:
    """Of 3, 1 and 96 the second would have a fen at 25 of 100, and none at 34."""
    parts = [end(order(3, 1, 96), [(None, total)]) for total in range(1, 101)]
    for earlier, later in pairwise(parts):
        assert all(one <= other for one, other in zip(earlier, later, strict=True))
    assert parts[-1] == [3, 1, 96]


def test_fens_that_are_told_one_by_one_end_as_their_sum() -> None:
    for total in range(1, 41):
        assert end(order(7, 11, 0, 22), [(None, 1)] * total) == end(order(7, 11, 0, 22), [(None, total)])


def test_a_name_that_comes_later_ends_as_if_it_had_come_first() -> None:
    told: list[Given] = [(None, 100), ("0", 60), (None, 7), ("1", 20)]
    ends = {tuple(end(order(100, 100), each)) for each in permutations(told)}
    assert len(ends) == 1
    assert sum(*ends) == 187


def test_a_line_that_was_paid_for_may_be_refunded_by_name_after_refunds_without() -> None:
    lines, _ = refund(order(100, 100), (None, 100))
    _, taken = refund(lines, ("0", 100))
    assert taken == {"0": 50, "1": 50}


@pytest.mark.parametrize(("given", "pointer"), [(("0", 61), "/lines/0/amount_minor"), ((None, 141), "/amount_minor")])
def test_what_is_left_bounds_names_and_sums(given: Given, pointer: str) -> None:
    lines, _ = refund(order(100, 100), ("0", 40))
    lines, _ = refund(lines, (None, 20))
    with pytest.raises(Unprocessable) as refused:
        refund(lines, given)
    assert refused.value.code == "refund_exceeds_paid"
    assert [error.pointer for error in refused.value.errors or []] == [pointer]


def test_the_order_of_lines_does_not_matter() -> None:
    one, other = order(1, 1, 1), order(1, 1, 1)[::-1]
    assert end(one, [(None, 2)]) == end(other, [(None, 2)])[::-1]


@st.composite
def histories(draw: st.DrawFn) -> tuple[Lines, list[Given], list[Given]]:
    """An order, refunds of it that all fit, and the same sums in another order and cut otherwise."""
    amounts = draw(st.lists(st.integers(0, 60) | st.integers(0, MAX_MINOR), min_size=1, max_size=6).filter(any))
    named = [draw(st.integers(0, amount)) for amount in amounts]
    whole = [
        *((str(place), amount) for place, amount in enumerate(named)),
        (None, draw(st.integers(0, sum(amounts) - sum(named)))),
    ]
    return order(*amounts), _cut(draw, whole), _cut(draw, whole)


def _cut(draw: st.DrawFn, whole: Sequence[Given]) -> list[Given]:
    pieces: list[Given] = []
    for name, amount in whole:
        first = draw(st.integers(0, amount))
        pieces += [(name, part) for part in (first, amount - first) if part]
    return draw(st.permutations(pieces))


@settings(max_examples=400, deadline=None)
@given(histories())
def test_any_cut_and_any_order_of_the_same_sums_end_alike(history: tuple[Lines, list[Given], list[Given]]) -> None:
    lines, one, other = history
    assert end(lines, one) == end(lines, other)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 50) | st.integers(0, MAX_MINOR), min_size=1, max_size=8).filter(any), st.data())
def test_parts_stay_near_their_share(weights: list[int], data: st.DataObject) -> None:
    """Within a fen for two lines, and for more within half a fen for each of them."""
    whole, count = sum(weights), sum(map(bool, weights))
    total = data.draw(st.integers(0, whole))
    parts = apportion(total, weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert 0 <= part <= weight
        assert 2 * abs(part * whole - total * weight) <= max(2, count) * whole


def test_small_orders_wholly() -> None:
    """Hypothesis looks for corners; this covers the ground: each fen of each small order, in any cut of two."""
    dice = Random(20_261_122)
    for _ in range(2_000):
        lines = order(*(dice.randint(0, 6) for _ in range(dice.randint(1, 4))))
        whole = sum(line.amount_minor for line in lines)
        for total in range(1, whole + 1):
            first = dice.randint(1, total)
            cut: list[Given] = [(None, first), *([(None, total - first)] if total > first else [])]
            assert end(lines, cut) == end(lines, [(None, total)])


def test_what_cannot_be_cut_is_refused() -> None:
    for total, weights in ((4, [1, 2]), (-1, [1]), (0, [-1, 1])):
        with pytest.raises(ValueError, match="total"):
            apportion(total, weights)
    assert apportion(0, [0, 0]) == [0, 0]
