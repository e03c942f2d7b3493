"""Events that a merchant's server hands in, many at a time; each is judged by itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from app.kit import ids
from app.kit.errors import Unavailable
from app.tracking import bots, metrics, rules
from app.tracking.batcher import News, NotRecordedError
from app.tracking.codes import Answer, CodeCache, Destination
from app.tracking.hits import Hit
from app.tracking.items import EventIn, EventOut, instant_us
from app.tracking.links import MOST_AGENT
from app.tracking.tracker import Tracker

# What to record of an item, or why it is not.
Judgement = Hit | EventOut
_REJECTED = metrics.EVENTS.labels("rejected")
_REFUSALS = {
    "occurred_at_in_the_future": "Events of the last 48 hours are taken.",
    "occurred_at_too_old": "Events of the last 48 hours are taken.",
    "occurred_at_invalid": "occurred_at: should be an RFC 3339 instant with a zone, as text",
}


async def take(
    tracker: Tracker, events: Sequence[EventIn | EventOut], *, merchant_id: str, received_us: int
) -> list[EventOut]:
    """An answer for each item in turn, when what was taken is recorded. Unavailable where no store takes it.

    Items whose code cannot be looked up just now are to be sent again; where that is all of them, it is the error.

    `received_us` is by the real clock, in microseconds since 1970.
    """
    destinations = await _find(tracker.codes, events)
    faults = [destination for destination in destinations if isinstance(destination, Exception)]
    if faults and len(faults) == len(events):
        raise faults[0].with_traceback(None)
    judged: list[Judgement] = []
    for event, destination in zip(events, destinations, strict=True):
        judgement = _judge(tracker, event, destination, merchant_id, received_us)
        if isinstance(judgement, Hit) and isinstance(destination, Destination) and (given := _channel(event)):
            channel = await tracker.channel(destination.campaign, given)
            judgement = msgspec.structs.replace(judgement, channel=channel)
        judged.append(judgement)
    try:
        new: News | None = await tracker.record(hits_of(judged))
    except NotRecordedError:
        new = None
    return told(judged, new)


def judge_at_once(
    tracker: Tracker, events: Sequence[EventIn | EventOut], *, merchant_id: str, received_us: int
) -> list[Judgement] | None:
    """As `take` begins; None where something has to be looked up first."""
    judged: list[Judgement] = []
    for event in events:
        if not isinstance(event, EventIn):
            return None
        destination = tracker.codes.get(event.invite_code)
        if not isinstance(destination, Destination):
            return None
        channel = rules.DIRECT
        if event.channel:
            known = tracker.channels.at_hand(destination.campaign, rules.channel_of(event.channel))
            if known is None:
                return None
            channel = known
        judged.append(_judge_found(tracker, event, destination, merchant_id, received_us, channel))
    return judged


def hits_of(judged: Iterable[Judgement]) -> list[Hit]:
    return [entry for entry in judged if isinstance(entry, Hit)]


def told(judged: Sequence[Judgement], new: News | None) -> list[EventOut]:
    """As `take` ends, with what became of the hits among them; Unavailable where no store took those."""
    if new is None:
        raise Unavailable(
            "events_not_recorded", "No store takes events now; send them again as they are.", retry_after=2
        )
    news = iter(new)
    answers = [_told(entry, is_new=next(news)) if isinstance(entry, Hit) else entry for entry in judged]
    if len(new) < len(answers):
        _REJECTED.inc(len(answers) - len(new))
    return answers


def _channel(event: EventIn | EventOut) -> str | None:
    return event.channel if isinstance(event, EventIn) else None


async def _find(codes: CodeCache, events: Sequence[EventIn | EventOut]) -> list[Answer]:
    """For each event where its code leads; None where it leads nowhere, an error where nobody can say."""
    found: list[Answer] = []
    for event in events:
        known = codes.get(event.invite_code) if isinstance(event, EventIn) else None
        if not isinstance(known, Destination):
            break
        found.append(known)
    else:
        return found
    wanted = [ids.normalise_invite_code(event.invite_code) if isinstance(event, EventIn) else None for event in events]
    by_code = await codes.find_many(code for code in wanted if code is not None)
    return [None if code is None else by_code.get(code) for code in wanted]


def _judge(
    tracker: Tracker, event: EventIn | EventOut, destination: Answer, merchant_id: str, received_us: int
) -> Judgement:
    """What to record, under no channel yet, or why not."""
    if isinstance(event, EventOut):
        return event
    if isinstance(destination, Exception):
        return _rejected(event, "temporarily_unavailable", "The invite code cannot be looked up now; send this again.")
    if destination is None:
        return _unknown(event)
    return _judge_found(tracker, event, destination, merchant_id, received_us, rules.DIRECT)


def _judge_found(
    tracker: Tracker, event: EventIn, destination: Destination, merchant_id: str, received_us: int, channel: str
) -> Judgement:
    """Another merchant's code answers like one that does not exist."""
    if destination.merchant_id != merchant_id:
        return _unknown(event)
    facts = destination.campaign.facts
    now_us = received_us + facts.clock_offset_seconds * 1_000_000
    occurred_us = now_us if event.occurred_at is None else _instant(event.occurred_at, now_us)
    if isinstance(occurred_us, str):
        return _rejected(event, occurred_us, _REFUSALS[occurred_us])
    is_bot = event.user_agent is not None and bots.is_bot(event.user_agent)
    outcome = facts.life.outcome(occurred_us, bot=is_bot)
    if outcome is None:
        return _rejected(event, "campaign_not_active", "The campaign had not begun then: nothing counts.")
    return Hit(
        id=ids.uuid7_at(received_us),
        target=destination.target,
        kind=event.type,
        outcome=outcome,
        channel=channel,
        occurred_us=min(occurred_us, now_us),
        received_us=received_us,
        visitor=_visitor(tracker, event, destination),
        client_event_id=event.event_id,
        user_agent=event.user_agent[:MOST_AGENT] if event.user_agent else None,
    )


def _instant(given: str, now_us: int) -> int | str:
    """Microseconds since 1970, or the code of the refusal."""
    occurred_us = instant_us(given)
    return "occurred_at_invalid" if occurred_us is None else rules.refusal_of(occurred_us, now_us) or occurred_us


def _visitor(tracker: Tracker, event: EventIn, destination: Destination) -> str | None:
    if event.visitor_id is None:
        return None
    return tracker.visitors.named(destination.merchant_id, event.visitor_id)


def _unknown(event: EventIn) -> EventOut:
    return _rejected(event, "invite_code_unknown", "No such invite code.")


def _rejected(event: EventIn, code: str, detail: str) -> EventOut:
    return EventOut(event_id=event.event_id, status="rejected", code=code, detail=detail)


def _told(hit: Hit, *, is_new: bool) -> EventOut:
    if not is_new:
        return EventOut(event_id=hit.client_event_id, status="duplicate")
    return EventOut(event_id=hit.client_event_id, status="ignored_bot" if hit.outcome == "bot" else "accepted")
