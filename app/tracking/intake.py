"""Events that a merchant's server hands in, many at a time; each is judged by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from uuid_utils.compat import uuid7

from app.kit import ids
from app.kit.errors import Unavailable
from app.tracking import bots, metrics, rules, visitors
from app.tracking.batcher import NotRecordedError
from app.tracking.codes import Destination, Found
from app.tracking.hits import Hit, micros
from app.tracking.items import Answer, EventIn, read
from app.tracking.links import MOST_AGENT
from app.tracking.tracker import Tracker


@dataclass(frozen=True, slots=True)
class Delivery:
    """Who hands in: `now` is the tenant's clock, `received_at` the real one."""

    merchant_id: str
    now: datetime
    received_at: datetime


async def take(tracker: Tracker, items: Sequence[Any], delivery: Delivery) -> list[Answer]:
    """An answer for each item in turn, when what was taken is recorded. Unavailable where no store takes it."""
    events = [read(item) for item in items]
    found = await _find(tracker, events)
    judged = [
        await _judge(tracker, event, found, delivery) if isinstance(event, EventIn) else event for event in events
    ]
    hits = [entry for entry in judged if isinstance(entry, Hit)]
    try:
        new = iter(await tracker.record(hits))
    except NotRecordedError:
        raise Unavailable(
            "events_not_recorded", "No store takes events now; send them again as they are.", retry_after=2
        ) from None
    answers = [_told(entry, is_new=next(new)) if isinstance(entry, Hit) else entry for entry in judged]
    metrics.EVENTS.labels("rejected").inc(sum(answer.status == "rejected" for answer in answers))
    return answers


async def _find(tracker: Tracker, events: Sequence[EventIn | Answer]) -> Found:
    codes = (ids.normalise_invite_code(event.invite_code) for event in events if isinstance(event, EventIn))
    return await tracker.codes.find_many(code for code in codes if code is not None)


async def _judge(tracker: Tracker, event: EventIn, found: Found, delivery: Delivery) -> Hit | Answer:
    """What to record, or why not. Another merchant's code answers like one that does not exist."""
    destination = found.get(ids.normalise_invite_code(event.invite_code) or "")
    if destination is None or destination.merchant_id != delivery.merchant_id:
        return _rejected(event, "invite_code_unknown", "No such invite code.")
    occurred_at = event.occurred_at or delivery.now
    refusal = rules.refusal_of(occurred_at, delivery.now)
    if refusal is not None:
        return _rejected(event, refusal, "Events of the last 48 hours are taken.")
    is_bot = event.user_agent is not None and bots.is_bot(event.user_agent)
    outcome = rules.outcome_of(destination, occurred_at, bot=is_bot)
    if outcome is None:
        return _rejected(event, "campaign_not_active", f"The campaign is {destination.status}: nothing counts yet.")
    return Hit(
        id=uuid7(),
        target=destination.target,
        kind=event.type,
        outcome=outcome,
        channel=await tracker.channels.find(destination.campaign, rules.channel_of(event.channel)),
        occurred_us=micros(min(occurred_at, delivery.now)),
        received_us=micros(delivery.received_at),
        visitor=_visitor(event, destination, tracker.secret),
        client_event_id=event.event_id,
        user_agent=event.user_agent[:MOST_AGENT] if event.user_agent else None,
    )


def _visitor(event: EventIn, destination: Destination, secret: bytes) -> str | None:
    if event.visitor_id is None:
        return None
    return visitors.named(secret, destination.target.merchant_id.bytes, event.visitor_id)


def _rejected(event: EventIn, code: str, detail: str) -> Answer:
    return Answer(event.event_id, "rejected", code, detail)


def _told(hit: Hit, *, is_new: bool) -> Answer:
    if not is_new:
        return Answer(hit.client_event_id, "duplicate")
    return Answer(hit.client_event_id, "ignored_bot" if hit.outcome == "bot" else "accepted")
