"""A friend opens an invite link: always led on, and counted."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote

from msgspec import Struct

from app.kit import ids, logging
from app.kit.errors import not_found
from app.tracking import bots, metrics, rules
from app.tracking.codes import MISS, Destination
from app.tracking.hits import Hit, day_of
from app.tracking.tracker import Tracker

log = logging.get(__name__)
MOST_AGENT = bots.MOST_KEPT
MOST_ADDRESS = 64


class Visit(Struct, frozen=True):
    """What a request says: `cookie` and `channel` as they came, `is_bot` by method, headers and agent.

    `user_agent` is at most `MOST_AGENT` long.
    """

    code: str
    is_scan: bool
    is_bot: bool
    channel: str | None
    cookie: str | None
    address: str
    user_agent: str


class Opened(NamedTuple):
    """`event_id` is None where nothing was counted; `cookie` where none is to be set."""

    location: str
    event_id: str | None = None
    cookie: str | None = None


async def open_link(tracker: Tracker, visit: Visit, *, now_us: int) -> Opened:
    """Where the link leads, when the visit is recorded. NotFound `invite_code_not_found`.

    `now_us` is by the real clock, in microseconds since 1970.
    """
    destination = tracker.codes.get(visit.code)
    if destination is None or destination is MISS:
        destination = await _find(tracker, visit.code)
    location = destination.landing
    if visit.channel:
        location = f"{location}&ch={quote(rules.channel_of(visit.channel))}"
    facts = destination.campaign.facts
    occurred_us = now_us + facts.clock_offset_seconds * 1_000_000
    outcome = facts.life.outcome(occurred_us, bot=visit.is_bot)
    if outcome is None:
        return Opened(location)
    # Only now, and for people alone: what counts as nothing, and crawlers, take up none of a campaign's names.
    channel = rules.DIRECT
    if visit.channel:
        channel = await tracker.channel(destination.campaign, visit.channel, is_new_allowed=outcome == "human")
    visitor = tracker.visitors.recognise(
        cookie=visit.cookie, address=visit.address, user_agent=visit.user_agent, day=day_of(occurred_us)
    )
    hit = Hit(
        id=ids.uuid7_at(now_us),
        target=destination.target,
        kind="scan" if visit.is_scan else "click",
        outcome=outcome,
        channel=channel,
        occurred_us=occurred_us,
        received_us=now_us,
        visitor=visitor.counted,
        address=visit.address[:MOST_ADDRESS],
        user_agent=visit.user_agent,
    )
    cookie = None if visit.is_bot else visitor.cookie
    if await tracker.record_one(hit) is not None:
        return Opened(location, ids.encode("evt", hit.id), cookie)
    # No store took it: a friend is led on all the same.
    metrics.LOST.inc()
    log.warning("click_lost", participant=str(hit.target.participant_id))
    return Opened(location, None, cookie)


async def _find(tracker: Tracker, given: str) -> Destination:
    code = ids.normalise_invite_code(given)
    destination = await tracker.codes.find(code) if code else None
    if destination is None:
        raise not_found("invite_code")
    return destination
