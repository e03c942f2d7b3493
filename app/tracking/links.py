"""A friend opens an invite link: always led on, and counted."""

from __future__ import annotations

from urllib.parse import quote

from msgspec import Struct

from app.kit import ids, logging
from app.kit.errors import not_found
from app.tracking import bots, metrics, rules
from app.tracking.batcher import NotRecordedError
from app.tracking.codes import MISS, Destination
from app.tracking.hits import Hit, Outcome, day_of
from app.tracking.tracker import Tracker

log = logging.get(__name__)
MOST_AGENT = bots.MOST_KEPT
MOST_ADDRESS = 64


class Visit(Struct, frozen=True, gc=False):
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


class Opened(Struct, frozen=True, gc=False):
    """Where it leads; `hit` is None where nothing is to be counted, `cookie` where none is to be set."""

    location: str
    hit: Hit | None = None
    cookie: str | None = None


async def open_link(tracker: Tracker, visit: Visit, *, now_us: int) -> tuple[Opened, str | None]:
    """Where the link leads, when the visit is recorded, and as which event. NotFound `invite_code_not_found`.

    `now_us` is by the real clock, in microseconds since 1970.
    """
    destination = await _find(tracker, visit.code)
    channel = rules.DIRECT
    if visit.channel:
        # For people alone: what counts as nothing, and crawlers, take up none of a campaign's names.
        is_human = _counted_as(destination, visit, now_us)[1] == "human"
        channel = await tracker.channel(destination.campaign, visit.channel, is_new_allowed=is_human)
    opened = _open(tracker, visit, destination, channel, now_us)
    if opened.hit is None:
        return opened, None
    try:
        await tracker.record([opened.hit])
    except NotRecordedError:
        return opened, event_of(opened.hit, is_recorded=False)
    return opened, event_of(opened.hit, is_recorded=True)


def open_at_once(tracker: Tracker, visit: Visit, *, now_us: int) -> Opened | None:
    """What is to be recorded, where nothing has to be looked up first."""
    destination = tracker.codes.get(visit.code)
    if destination is None or destination is MISS:
        return None
    channel = rules.DIRECT
    if visit.channel:
        known = tracker.channels.at_hand(destination.campaign, rules.channel_of(visit.channel))
        if known is None:
            return None
        channel = known
    return _open(tracker, visit, destination, channel, now_us)


def event_of(hit: Hit, *, is_recorded: bool) -> str | None:
    """The event that a hit has become. A friend whose click no store took is led on all the same."""
    if is_recorded:
        return ids.encode_in_turn("evt", hit.id)
    metrics.LOST.inc()
    log.warning("click_lost", participant=str(hit.target.participant_id))
    return None


def _open(tracker: Tracker, visit: Visit, destination: Destination, channel: str, now_us: int) -> Opened:
    location = destination.landing
    if visit.channel:
        location = f"{location}&ch={quote(rules.channel_of(visit.channel))}"
    occurred_us, outcome = _counted_as(destination, visit, now_us)
    if outcome is None:
        return Opened(location)
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
    return Opened(location, hit, None if visit.is_bot else visitor.cookie)


def _counted_as(destination: Destination, visit: Visit, now_us: int) -> tuple[int, Outcome | None]:
    """The instant by the clock of whose link it is, and how a visit counts then."""
    facts = destination.campaign.facts
    occurred_us = now_us + facts.clock_offset_seconds * 1_000_000
    return occurred_us, facts.life.outcome(occurred_us, bot=visit.is_bot)


async def _find(tracker: Tracker, given: str) -> Destination:
    code = ids.normalise_invite_code(given)
    destination = await tracker.codes.find(code) if code else None
    if destination is None:
        raise not_found("invite_code")
    return destination
