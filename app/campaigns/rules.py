"""A campaign's life: which status it is in at an instant, where an action leads, and what each status lets happen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Literal, Protocol

from app.kit.errors import Conflict, FieldError, Unprocessable

Action = Literal["publish", "pause", "resume", "end"]
Move = Literal["pause", "resume", "end"]
What = Literal["join", "order", "refund"]

# Pause, resume and end name a state to be in: asked again, they change nothing. Publishing is an event with a check of
# its own, and is refused the second time; a retry that must not be refused carries an Idempotency-Key.
TRANSITIONS: Mapping[Action, Mapping[str, str]] = {
    "publish": {"draft": "scheduled"},
    "pause": {"active": "paused", "paused": "paused"},
    "resume": {"paused": "active", "active": "active"},
    "end": {"scheduled": "ended", "active": "ended", "paused": "ended", "ended": "ended", "settled": "settled"},
}
OPEN: Mapping[What, frozenset[str]] = {
    "join": frozenset({"active"}),
    "order": frozenset({"active"}),
    "refund": frozenset({"active", "paused", "ended", "settled"}),
}
TIMED = frozenset({"scheduled", "active", "paused"})  # published and not over: the dates rule
OVER = frozenset({"ended", "settled"})
LATE_ORDERS = timedelta(days=15)  # how long after the end an order that was paid before it may still be reported
CLOCK_SKEW = timedelta(minutes=5)  # how far another system's clock may be off

# Buyers and promoters came for these terms. Rules may change: each version is kept, and copied onto what it decided.
_PUBLISHED = frozenset({"kind", "price_minor", "currency"})
_BEGUN = _PUBLISHED | {"starts_at"}
LOCKED: Mapping[str, frozenset[str]] = {
    "draft": frozenset(),
    "scheduled": _PUBLISHED,
    "active": _BEGUN,
    "paused": _BEGUN,
}
AFTER_THE_END = frozenset({"meta"})
_NAMES_IN_BODY = {
    "price_minor": "/product/price_minor",
    "currency": "/product/currency",
    "meta": "/metadata",
    "poster_template_versions": "/poster_template_ids",
}


class Dated(Protocol):
    """What of a campaign its life hangs on."""

    @property
    def status(self) -> str: ...
    @property
    def starts_at(self) -> datetime | None: ...
    @property
    def ends_at(self) -> datetime | None: ...
    @property
    def ended_at(self) -> datetime | None: ...


def status_at(campaign: Dated, now: datetime) -> str:
    """The status at `now`, whether or not the worker has already written it."""
    if campaign.status not in TIMED:
        return campaign.status
    if campaign.ends_at is not None and campaign.ends_at <= now:
        return "ended"
    if campaign.status == "scheduled" and campaign.starts_at is not None and campaign.starts_at <= now:
        return "active"
    return campaign.status


def next_status(action: Action, status: str) -> str:
    """Where `action` leads; the same status means nothing is to be done. Conflict where it leads nowhere."""
    target = TRANSITIONS[action].get(status)
    if target is not None:
        return target
    if status in OVER:
        raise Conflict("campaign_ended", f"The campaign is {status}; `{action}` comes too late.")
    if action == "publish":
        raise Conflict("campaign_already_published", f"The campaign was published before; it is {status}.")
    code = "campaign_not_published" if status == "draft" else "campaign_not_active"
    raise Conflict(code, f"The campaign is {status}, which does not allow `{action}`.")


def require_open(
    campaign: Dated, what: What, *, now: datetime, bound_before: bool = False, paid_at: datetime | None = None
) -> None:
    """Conflict `campaign_not_active` or `campaign_ended` where the campaign does not take this now.

    For orders: `bound_before` says that the buyer was a participant already, which a paused campaign asks for;
    `paid_at` is when it was paid, which an ended one asks for. What was paid before the campaign began never counts:
    its hold would be over before anybody could object.
    """
    if paid_at is not None and _is_before_start(campaign, paid_at):
        raise Conflict("campaign_not_active", "The order was paid before the campaign began.")
    status = status_at(campaign, now)
    if status in OPEN[what]:
        return
    if what == "order" and status == "paused" and bound_before:
        return
    if what == "order" and status == "ended" and paid_at is not None and paid_at < _end(campaign, now):
        return
    if status in OVER:
        raise Conflict("campaign_ended", f"The campaign is {status}.")
    raise Conflict("campaign_not_active", f"The campaign is {status}, not active.")


def settles_at(over_at: datetime, *, held_days: int) -> datetime:
    """When a campaign that is over can be *settled*: nothing paid before its end is held, or may come, any more."""
    return over_at + max(LATE_ORDERS, timedelta(days=held_days))


def _is_before_start(campaign: Dated, paid_at: datetime) -> bool:
    return campaign.starts_at is not None and paid_at < campaign.starts_at - CLOCK_SKEW


def _end(campaign: Dated, now: datetime) -> datetime:
    return min(filter(None, (campaign.ended_at, campaign.ends_at)), default=now)


def require_dates(starts_at: datetime | None, ends_at: datetime | None) -> None:
    if starts_at is not None and ends_at is not None and ends_at <= starts_at:
        detail = "`ends_at` must be later than `starts_at`."
        raise Unprocessable("ends_at_before_starts_at", detail, errors=[FieldError("/ends_at", "too_early", detail)])


def require_changeable(status: str, changed: Iterable[str]) -> None:
    """Conflict `campaign_locked` where a campaign in this status keeps one of the `changed` columns as it is."""
    fixed = [name for name in sorted(changed) if _is_locked(status, name)]
    if fixed:
        errors = [
            FieldError(_NAMES_IN_BODY.get(name, f"/{name}"), "locked", f"Cannot change while {status}.")
            for name in fixed
        ]
        detail = f"The campaign is {status}: {', '.join(error.pointer for error in errors)} cannot change any more."
        raise Conflict("campaign_locked", detail, errors=errors)


def _is_locked(status: str, name: str) -> bool:
    return name not in AFTER_THE_END if status in OVER else name in LOCKED[status]
