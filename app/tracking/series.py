"""Counts by hour and channel, summed up: by channel, or by hours and days with no gaps. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from app.kit.errors import Unprocessable
from app.tracking.hits import CHINA_US, COUNTERS, HOUR_US, date_of, hour_of, hour_start, micros

Interval = Literal["hour", "day"]
DAY_HOURS = 24
CHINA_HOURS = CHINA_US // HOUR_US
STEP: dict[Interval, int] = {"hour": 1, "day": DAY_HOURS}
# The most that is answered, and what is without `from`, in hours.
LONGEST: dict[Interval, int] = {"hour": 31 * DAY_HOURS, "day": 400 * DAY_HOURS}
USUAL: dict[Interval, int] = {"hour": DAY_HOURS, "day": 30 * DAY_HOURS}
HOUR = timedelta(hours=1)


class Cell(NamedTuple):
    """Events of one hour (since 1970), one channel and one counter."""

    hour: int
    channel: str
    counter: str
    number: int


@dataclass(frozen=True, slots=True)
class Span:
    """Whole intervals: hours since 1970, the last one not included."""

    interval: Interval
    first: int
    after: int

    @property
    def starts_at(self) -> datetime:
        return hour_start(self.first)

    @property
    def ends_at(self) -> datetime:
        return hour_start(self.after)


def span_of(interval: Interval, starts_at: datetime | None, ends_at: datetime | None, now: datetime) -> Span:
    """The intervals that this touches, days as China has them; up to `now`, the latest ones, where nothing is said.

    Unprocessable `range_empty` or `range_too_long`.
    """
    step = STEP[interval]
    after = -_floor(-_hours(ends_at or now, up=True), step, -CHINA_HOURS)
    first = after - USUAL[interval] if starts_at is None else _floor(_hours(starts_at), step, CHINA_HOURS)
    if first >= after:
        raise Unprocessable("range_empty", "`from` must be earlier than `to`.")
    if after - first > LONGEST[interval]:
        most = LONGEST[interval] // DAY_HOURS
        raise Unprocessable("range_too_long", f"By the {interval} at most {most} days are answered at once.")
    return Span(interval, first, after)


def _hours(instant: datetime, *, up: bool = False) -> int:
    hour = hour_of(micros(instant))
    return hour + (up and hour_start(hour) < instant)


def _floor(hour: int, step: int, ahead: int) -> int:
    """The last start of an interval by then, where clocks are `ahead`."""
    return (hour + ahead) // step * step - ahead


def points(span: Span, cells: Iterable[Cell], channel: str | None) -> list[dict[str, Any]]:
    """Every interval in turn with all counters; of one channel, or of all."""
    step = STEP[span.interval]
    found = [_point(span.interval, hour) for hour in range(span.first, span.after, step)]
    for cell in cells:
        if span.first <= cell.hour < span.after and channel in (None, cell.channel):
            found[(cell.hour - span.first) // step][cell.counter] += cell.number
    return found


def _point(interval: Interval, hour: int) -> dict[str, Any]:
    day = date_of((hour + CHINA_HOURS) // DAY_HOURS) if interval == "day" else None
    return {"at": hour_start(hour), "day": day, **dict.fromkeys(COUNTERS, 0)}


def by_channel(cells: Iterable[Cell]) -> list[dict[str, Any]]:
    """What each channel brought, those that brought most people first."""
    found: dict[str, dict[str, Any]] = {}
    for cell in cells:
        sums = found.setdefault(cell.channel, {"channel": cell.channel, **dict.fromkeys(COUNTERS, 0)})
        sums[cell.counter] += cell.number
    return sorted(found.values(), key=_rank)


def totals(cells: Iterable[Cell]) -> dict[str, int]:
    sums = dict.fromkeys(COUNTERS, 0)
    for cell in cells:
        sums[cell.counter] += cell.number
    return sums


def _rank(sums: dict[str, Any]) -> tuple[int, int, str]:
    return (-(sums["clicks"] + sums["scans"]), -sum(sums[name] for name in COUNTERS), sums["channel"])
