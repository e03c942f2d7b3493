"""A friend opens an invite link: always led on, and counted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode
from uuid import UUID

from uuid_utils.compat import uuid7

from app.kit import ids, logging
from app.kit.errors import not_found
from app.tracking import metrics, rules, visitors
from app.tracking.batcher import NotRecordedError
from app.tracking.codes import Destination
from app.tracking.hits import Hit, day_of, micros
from app.tracking.tracker import Tracker

log = logging.get(__name__)
MOST_AGENT = 512
MOST_ADDRESS = 64


@dataclass(frozen=True, slots=True)
class Visit:
    """What a request says: `cookie` and `channel` as they came, `is_bot` by method, headers and agent."""

    code: str
    is_scan: bool
    is_bot: bool
    channel: str | None
    cookie: str | None
    address: str
    user_agent: str


@dataclass(frozen=True, slots=True)
class Opened:
    """`event_id` is None where nothing was counted; `cookie` where none is to be set."""

    location: str
    event_id: str | None = None
    cookie: str | None = None


async def open_link(tracker: Tracker, visit: Visit, *, now: datetime) -> Opened:
    """Where the link leads, when the visit is recorded. NotFound `invite_code_not_found`."""
    code = ids.normalise_invite_code(visit.code)
    destination = await tracker.codes.find(code) if code else None
    if code is None or destination is None:
        raise not_found("invite_code")
    location = _landing(destination, code, visit.channel)
    occurred_at = now + timedelta(seconds=destination.clock_offset_seconds)
    outcome = rules.outcome_of(destination, occurred_at, bot=visit.is_bot)
    if outcome is None:
        return Opened(location)
    occurred_us = micros(occurred_at)
    visitor = visitors.recognise(
        tracker.secret,
        cookie=visit.cookie,
        address=visit.address,
        user_agent=visit.user_agent,
        day=day_of(occurred_us),
    )
    hit = Hit(
        id=uuid7(),
        target=destination.target,
        kind="scan" if visit.is_scan else "click",
        outcome=outcome,
        channel=await tracker.channels.find(destination.campaign, rules.channel_of(visit.channel)),
        occurred_us=occurred_us,
        received_us=micros(now),
        visitor=visitor.counted,
        address=visit.address[:MOST_ADDRESS],
        user_agent=visit.user_agent[:MOST_AGENT],
    )
    return Opened(location, await _record(tracker, hit), None if visit.is_bot else visitor.cookie)


def _landing(destination: Destination, code: str, channel: str | None) -> str:
    query = {"code": code} | ({"ch": rules.channel_of(channel)} if channel else {})
    return f"/h5/c/{destination.campaign_id}?{urlencode(query)}"


async def _record(tracker: Tracker, hit: Hit) -> str | None:
    """The event's id; None where no store took it: a friend is led on all the same."""
    try:
        await tracker.record([hit])
    except NotRecordedError:
        metrics.LOST.inc()
        log.warning("click_lost", participant=str(hit.target.participant_id))
        return None
    return event_id(hit.id)


def event_id(id_: UUID) -> str:
    return ids.encode("evt", id_)
