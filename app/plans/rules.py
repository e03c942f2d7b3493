"""Which plan a merchant is on, as a pure function of what it bought."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from app.kit import clock

CURRENCY = "CNY"
_EARLIEST, _LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


class Bought(Protocol):
    """Paid time as `PlanPurchase` keeps it."""

    @property
    def id(self) -> str: ...
    @property
    def plan(self) -> str: ...
    @property
    def platform_fee_bps(self) -> int: ...
    @property
    def days(self) -> int: ...
    @property
    def bought_at(self) -> datetime: ...
    @property
    def ended_at(self) -> datetime | None: ...


@dataclass(frozen=True, slots=True)
class Period:
    plan: str
    platform_fee_bps: int
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """The plan in force. `ends_at`: when its paid time is used up; None for one that nobody bought."""

    plan: str
    platform_fee_bps: int
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Left:
    bought: Bought
    time: timedelta

    @property
    def rank(self) -> tuple[int, datetime, str]:
        return self.bought.platform_fee_bps, self.bought.bought_at, self.bought.id


def periods(purchases: Iterable[Bought]) -> list[Period]:
    """Paid time in the order in which it is used: that with the lowest fee first, of two alike what was bought first.

    So a renewal comes behind what runs, a better plan takes effect at once while the other one's time waits behind it,
    and no paid day is lost. Of a purchase that was ended nothing is used from then on.
    """
    plan: list[Period] = []
    left: list[_Left] = []
    at = _EARLIEST
    for turn, bought in sorted(_turns(purchases), key=lambda each: (each[0], each[1].id)):
        left = [one for one in _use(plan, left, since=at, until=turn) if one.bought is not bought]
        if turn != bought.ended_at:
            left = sorted([*left, _Left(bought, clock.days(bought.days))], key=lambda one: one.rank)
        at = turn
    _use(plan, left, since=at, until=_LATEST)
    return plan


def _turns(purchases: Iterable[Bought]) -> Iterator[tuple[datetime, Bought]]:
    """When there is time more, or less, to use."""
    for bought in purchases:
        yield bought.bought_at, bought
        if bought.ended_at is not None:
            yield max(bought.bought_at, bought.ended_at), bought


def standing(base: Standing, purchases: Iterable[Bought], *, now: datetime) -> Standing:
    """`base`, where no paid time covers `now`."""
    plan = periods(purchases)
    for place, period in enumerate(plan):
        if period.starts_at <= now < period.ends_at:
            return Standing(period.plan, period.platform_fee_bps, _end(plan[place:]))
    return base


def _use(plan: list[Period], left: Sequence[_Left], *, since: datetime, until: datetime) -> list[_Left]:
    """Write down what is used from `since` to `until`; what is left then."""
    waiting, at = list(left), since
    while waiting and at < until:
        first = waiting.pop(0)
        if first.time > until - at:
            waiting.insert(0, replace(first, time=first.time - (until - at)))
        end = at + min(first.time, until - at)
        plan.append(Period(first.bought.plan, first.bought.platform_fee_bps, at, end))
        at = end
    return waiting


def _end(plan: Sequence[Period]) -> datetime:
    """Of the first period and those that go on with the same plan without a gap."""
    last = plan[0]
    for period in plan[1:]:
        if (period.plan, period.platform_fee_bps, period.starts_at) != (
            last.plan,
            last.platform_fee_bps,
            last.ends_at,
        ):
            break
        last = period
    return last.ends_at
