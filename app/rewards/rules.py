"""Membership days as a pure function of the grants; caps; how long a failed grant waits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

KEEP_DAYS = 7  # what `days_kept` waits for where the rule names no number
FIRST_WAIT = timedelta(seconds=5)
LONGEST_WAIT = timedelta(hours=1)


class Grant(Protocol):
    """A piece of time as `MembershipGrant` keeps it; `seconds` is negative where time was revoked."""

    @property
    def id(self) -> str: ...
    @property
    def seconds(self) -> int: ...
    @property
    def paid(self) -> bool: ...
    @property
    def granted_at(self) -> datetime: ...


@dataclass(frozen=True, slots=True)
class Period:
    """Time that one grant covers, past or to come; a paid grant that came later may have split an earned one."""

    grant_id: str
    paid: bool
    starts_at: datetime
    ends_at: datetime


def timeline(grants: Iterable[Grant]) -> list[Period]:
    """Periods in order, never overlapping: each grant from max(when it was given, current end), paid time first and
    earned time behind it. A revocation cuts from the tail, never time that was used by then, nor time of the other
    sort."""
    plan: list[Period] = []
    for grant in sorted(grants, key=lambda grant: (grant.granted_at, grant.id)):
        if grant.seconds < 0:
            _cut(plan, grant)
        else:
            _place(plan, grant)
    return plan


def ends_at(grants: Iterable[Grant]) -> datetime | None:
    """None where no time was ever left standing."""
    plan = timeline(grants)
    return plan[-1].ends_at if plan else None


def _place(plan: list[Period], grant: Grant) -> None:
    behind = _earned_left(plan, grant.granted_at) if grant.paid else []
    _append(plan, Period(grant.id, grant.paid, grant.granted_at, grant.granted_at + timedelta(seconds=grant.seconds)))
    for period in behind:
        _append(plan, period)


def _append(plan: list[Period], period: Period) -> None:
    """At the end, and not before the period's own start."""
    start = max(period.starts_at, plan[-1].ends_at) if plan else period.starts_at
    plan.append(replace(period, starts_at=start, ends_at=start + (period.ends_at - period.starts_at)))


def _earned_left(plan: list[Period], now: datetime) -> list[Period]:
    """Take earned time that is not used yet out of the plan; what was used of it stays."""
    taken: list[Period] = []
    while plan and not plan[-1].paid and plan[-1].ends_at > now:
        last = plan.pop()
        if last.starts_at < now:
            plan.append(replace(last, ends_at=now))
            last = replace(last, starts_at=now)
        taken.insert(0, last)
    return taken


def _cut(plan: list[Period], revoked: Grant) -> None:
    """Of unused time of the same sort alone: what was paid for outlasts any reward that is taken back."""
    now, length = revoked.granted_at, timedelta(seconds=-revoked.seconds)
    behind = _earned_left(plan, now) if revoked.paid else []
    while length and plan and plan[-1].ends_at > now and plan[-1].paid == revoked.paid:
        last = plan.pop()
        part = min(length, last.ends_at - max(last.starts_at, now))
        length -= part
        if last.ends_at - part > last.starts_at:
            plan.append(replace(last, ends_at=last.ends_at - part))
    for period in behind:
        _append(plan, replace(period, starts_at=now, ends_at=now + (period.ends_at - period.starts_at)))


def within_cap(earned_days: int, days: int, cap_days: int | None) -> bool:
    """Whether a reward still fits; one that does not fit wholly drops wholly."""
    return cap_days is None or earned_days + days <= cap_days


def wait_after(attempts: int) -> timedelta:
    """How long a reward that failed `attempts` times waits for the next try."""
    return min(LONGEST_WAIT, FIRST_WAIT * (1 << min(attempts, 12)))
