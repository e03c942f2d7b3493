"""Which plan is in force, as a table of what was bought and when."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.plans import rules
from app.plans.rules import Standing

DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)
FREE = Standing("free", 100)


@dataclass(frozen=True)
class Bought:
    id: str
    plan: str
    platform_fee_bps: int
    days: int
    bought_at: datetime
    ended_at: datetime | None = None


def ended(purchase: Bought, *, day: int) -> Bought:
    return replace(purchase, ended_at=START + day * DAY)


def bought(plan: str, fee: int, days: int, *, day: int, number: int = 0) -> Bought:
    return Bought(f"ord_{number or day:04d}", plan, fee, days, START + day * DAY)


def shown(*purchases: Bought) -> list[tuple[str, int, int]]:
    """Plan, first and last day of each period."""
    return [
        (period.plan, (period.starts_at - START) // DAY, (period.ends_at - START) // DAY)
        for period in rules.periods(purchases)
    ]


def month(day: int) -> Bought:
    return bought("month", 60, 30, day=day)


def year(day: int) -> Bought:
    return bought("year", 40, 365, day=day)


@pytest.mark.parametrize(
    ("purchases", "expected"),
    [
        pytest.param([], [], id="nothing bought"),
        pytest.param([month(0)], [("month", 0, 30)], id="one"),
        pytest.param([month(0), month(10)], [("month", 0, 10), ("month", 10, 30), ("month", 30, 60)], id="renewed"),
        pytest.param([month(0), month(40)], [("month", 0, 30), ("month", 40, 70)], id="bought again after a gap"),
        pytest.param(
            [month(0), year(10)], [("month", 0, 10), ("year", 10, 375), ("month", 375, 395)], id="a better one at once"
        ),
        pytest.param([ended(month(0), day=12)], [("month", 0, 12)], id="refunded"),
        pytest.param([ended(month(0), day=0)], [], id="refunded at once"),
        pytest.param([ended(month(0), day=40)], [("month", 0, 30)], id="refunded when it was used up"),
        pytest.param(
            [month(0), ended(year(10), day=20)],
            [("month", 0, 10), ("year", 10, 20), ("month", 20, 40)],
            id="a better one refunded",
        ),
        pytest.param(
            [ended(month(0), day=20), year(10)],
            [("month", 0, 10), ("year", 10, 20), ("year", 20, 375)],
            id="refunded while it waited",
        ),
        pytest.param([year(0), month(10)], [("year", 0, 10), ("year", 10, 365), ("month", 365, 395)], id="a worse one"),
        pytest.param([month(0), year(30)], [("month", 0, 30), ("year", 30, 395)], id="exactly when it ends"),
    ],
)
def test_paid_time_is_used_in_order(purchases: list[Bought], expected: list[tuple[str, int, int]]) -> None:
    assert shown(*purchases) == expected
    assert shown(*reversed(purchases)) == expected


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (-1, FREE),
        (0, Standing("month", 60, START + 10 * DAY)),
        (10, Standing("year", 40, START + 375 * DAY)),
        (374, Standing("year", 40, START + 375 * DAY)),
        (375, Standing("month", 60, START + 395 * DAY)),
        (395, FREE),
    ],
)
def test_the_plan_falls_back_when_its_paid_days_are_used_up(day: int, expected: Standing) -> None:
    assert rules.standing(FREE, [month(0), year(10)], now=START + day * DAY) == expected


def test_a_renewal_moves_the_end() -> None:
    assert rules.standing(FREE, [month(0)], now=START + 5 * DAY).ends_at == START + 30 * DAY
    assert rules.standing(FREE, [month(0), month(10)], now=START + 11 * DAY).ends_at == START + 60 * DAY


@given(
    st.lists(
        st.builds(
            lambda number, fee, days, day: bought(f"p{fee}", fee, days, day=day, number=number),
            st.integers(1, 9_999),
            st.sampled_from([20, 40, 60]),
            st.integers(1, 400),
            st.integers(0, 800),
        ),
        max_size=8,
        unique_by=lambda one: one.id,
    )
)
def test_no_paid_day_is_lost_and_none_is_used_twice(purchases: list[Bought]) -> None:
    plan = rules.periods(purchases)
    assert (
        sum((period.ends_at - period.starts_at for period in plan), timedelta())
        == sum(one.days for one in purchases) * DAY
    )
    assert all(before.ends_at <= after.starts_at for before, after in itertools.pairwise(plan))
    for name in {one.plan for one in purchases}:
        used = sum((period.ends_at - period.starts_at for period in plan if period.plan == name), timedelta())
        assert used == sum(one.days for one in purchases if one.plan == name) * DAY
