"""Live counters set right from the rows, while events arrive: each piece is exact at the moment it is written.

A piece holds its shard's lock, so that nothing is drained meanwhile. What Postgres has is then what was drained through
the shard's position (and what came by no stream at all), and the stream behind that position holds the rest; the script
adds the two up in one step. What is long, visitors and hours, is staged before under other keys, a little at a time:
all of Redis stands still while a script runs. All of it runs as *system*.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.tracking import lua, positions, rows, stream
from app.tracking.hits import EPOCH, date_of, day_of, micros
from app.tracking.keys import Keys, shard_of
from app.tracking.live import VISITOR_SECONDS
from app.tracking.rows import UNIQUE, Counts
from app.tracking.store import visitor_bytes

PIECE = 100
# The script reads what waits. Of so few entries nobody asks how large they are.
MOST_WAITING = 32
# Some 4,000 events.
MOST_ENTRIES_WAITING, MOST_BYTES_WAITING = 1_000, 1_000_000
MOST_STAGED_AT_ONCE = 1_000
# Parts that are staged between two words to Postgres: a session that is silent for seconds is ended as one that hangs.
PARTS_A_WORD = 200
# Until then a repair that was broken off has left something behind.
STAGED_SECONDS = 1_800
# Events of these days may still come, and must be told from the visitors that are known.
DAYS_BACK = 3

_pack = msgspec.msgpack.Encoder().encode
_OLDEST = text("""
    SELECT merchant_id, campaign_id, array_agg(id) FROM counter_repairs
    GROUP BY merchant_id, campaign_id ORDER BY min(requested_at) LIMIT :most
""")
_OWED = text("SELECT array_agg(id) FROM counter_repairs WHERE merchant_id = :merchant AND campaign_id = :campaign")
_DONE = text("DELETE FROM counter_repairs WHERE merchant_id = :merchant AND id = ANY(:ids)")
_HERE = text("SELECT")
_ASKED = text("SELECT DISTINCT campaign_id FROM counter_repairs")


@dataclass(frozen=True, slots=True)
class Request:
    """All that was asked for one campaign by now. What is asked later asks for another repair."""

    merchant_id: UUID
    campaign_id: UUID
    ids: list[UUID]


async def next_request(session: AsyncSession, *, shards: int = 1, without: Collection[int] = ()) -> Request | None:
    """What has waited longest, `without` these shards'."""
    rows = await session.execute(_OLDEST, {"most": None if without else 1})
    return next((Request(*row) for row in rows if shard_of(row.campaign_id, shards) not in without), None)


async def is_near(redis: Redis, shard: int) -> bool:
    """Whether so little waits to be drained that a script may read it. Under load there are many entries, all small."""
    if await stream.length(redis, shard) <= MOST_WAITING:
        return True
    waiting = await stream.read(redis, shard, after=stream.START, limit=MOST_ENTRIES_WAITING + 1)
    size = sum(len(entry.packed) for entry in waiting.entries)
    return len(waiting.entries) <= MOST_ENTRIES_WAITING and size <= MOST_BYTES_WAITING


async def request_for(session: AsyncSession, merchant_id: UUID, campaign_id: UUID) -> Request:
    found = await session.scalar(_OWED, {"merchant": merchant_id, "campaign": campaign_id})
    return Request(merchant_id, campaign_id, found or [])


async def finish(session: AsyncSession, request: Request) -> None:
    await session.execute(_DONE, {"merchant": request.merchant_id, "ids": request.ids})


async def participants(
    session: AsyncSession,
    redis: Redis,
    shards: int,
    *,
    merchant_id: UUID,
    campaign_id: UUID,
    participants: Sequence[UUID],
    now: datetime,
) -> None:
    """Set the counters of these participants, and move their campaign's by the difference."""
    keys = Keys(shard_of(campaign_id, shards))
    await positions.lock(session, keys.shard)
    position = await positions.read(session, keys.shard)
    days = await _open_days(session, redis, keys.shard, position.position, merchant_id, now)
    counts = await rows.of_participants(session, merchant_id, participants)
    known = await _stage_visitors(session, redis, keys, merchant_id, participants, days)
    names, plan = _plan(keys, campaign_id, days, counts, known)
    await lua.REPAIR_PARTICIPANTS.run(redis, names, (position.position, campaign_id.hex, VISITOR_SECONDS, _pack(plan)))


def _plan(
    keys: Keys, campaign_id: UUID, days: Sequence[int], counts: Mapping[UUID, Counts], known: Mapping[str, int]
) -> tuple[list[str], list[Any]]:
    """The script's keys, and what it is to do with them."""
    names = [keys.stream, keys.campaign(campaign_id)]

    def place(key: str) -> int:
        names.append(key)
        return len(names)

    def of_day(participant: UUID, day: int) -> tuple[int, int, int, int]:
        key = keys.visitors(participant, day)
        return day, place(key), place(staged := keys.staged(key)), known.get(staged, 0)

    return names, [
        (
            participant.hex,
            place(keys.participant(participant)),
            _flat(numbers),
            [of_day(participant, day) for day in days],
        )
        for participant, numbers in counts.items()
    ]


async def _stage_visitors(
    session: AsyncSession,
    redis: Redis,
    keys: Keys,
    merchant_id: UUID,
    participants: Sequence[UUID],
    days: Sequence[int],
) -> Mapping[str, int]:
    """How many are staged where. One day of one participant may have millions, and they are never all in memory."""
    staged: Counter[str] = Counter()
    dates, waiting = [date_of(day) for day in days], 0
    async with redis.pipeline(transaction=False) as pipe:
        for participant in participants:
            pipe.unlink(*(keys.staged(keys.visitors(participant, day)) for day in days))
        found = rows.visitors_of(session, merchant_id, participants, dates, most=MOST_STAGED_AT_ONCE)
        async for participant, day, visitors in found:
            key = keys.staged(keys.visitors(participant, _day_of(day)))
            pipe.sadd(key, *visitors)
            pipe.expire(key, STAGED_SECONDS)
            staged[key] += len(visitors)
            waiting += len(visitors)
            if waiting >= MOST_STAGED_AT_ONCE:
                await pipe.execute()
                waiting = 0
        await pipe.execute()
    return staged


async def _stage_hours(session: AsyncSession, redis: Redis, key: str, hours: Counts) -> None:
    await redis.unlink(key)
    fields = list(hours.items())
    for part, first in enumerate(range(0, len(fields), MOST_STAGED_AT_ONCE)):
        await redis.hset(key, mapping=dict(fields[first : first + MOST_STAGED_AT_ONCE]))
        await redis.expire(key, STAGED_SECONDS)
        if part % PARTS_A_WORD == PARTS_A_WORD - 1:
            await session.execute(_HERE)


async def _open_days(
    session: AsyncSession, redis: Redis, shard: int, position: str, merchant_id: UUID, now: datetime
) -> list[int]:
    """Days that events may still be of, and those of events that wait in the stream."""
    offset = timedelta(seconds=await rows.clock_offset_seconds(session, merchant_id))
    today = day_of(micros(now + offset))
    waiting = (await stream.read(redis, shard, after=position)).hits
    return sorted({*range(today - DAYS_BACK, today + 2), *filter(None, (hit.visit_day for hit in waiting))})


async def campaign(session: AsyncSession, redis: Redis, shards: int, *, merchant_id: UUID, campaign_id: UUID) -> None:
    """Set the campaign's own counters, when its participants' are right."""
    keys = Keys(shard_of(campaign_id, shards))
    await positions.lock(session, keys.shard)
    position = await positions.read(session, keys.shard)
    counts, hours = await rows.of_campaign(session, merchant_id, campaign_id)
    staged = keys.staged(keys.hours(campaign_id))
    await _stage_hours(session, redis, staged, hours)
    visitors = counts.pop(UNIQUE)
    missing = await _missing_visitors(session, redis, keys, position.position, merchant_id, campaign_id, visitors)
    names = (keys.stream, keys.campaign(campaign_id), keys.hours(campaign_id), staged)
    arguments = (position.position, campaign_id.hex, _pack(_flat(counts)), len(hours), missing)
    await lua.REPAIR_CAMPAIGN.run(redis, names, arguments)


async def _missing_visitors(
    session: AsyncSession,
    redis: Redis,
    keys: Keys,
    position: str,
    merchant_id: UUID,
    campaign_id: UUID,
    stored: int,
) -> int:
    """What the campaign's sum lacked at one moment. By it, not to a sum: who comes meanwhile is told by other keys."""
    async with redis.pipeline(transaction=True) as pipe:
        pipe.xrange(keys.stream, f"({position}", "+")
        pipe.hget(keys.campaign(campaign_id), UNIQUE)
        entries, shown = await pipe.execute()
    visits = {
        (hit.target.participant_id, date_of(day), visitor_bytes(hit.visitor or ""))
        for hit in stream.window(b"", None, entries).hits
        if hit.target.campaign_id == campaign_id and (day := hit.visit_day) is not None
    }
    known = await rows.count_known(session, merchant_id, visits)
    return stored + len(visits) - known - int(shown or 0)


async def show_again(session: AsyncSession, redis: Redis, *, shard: int, shards: int) -> None:
    """Let live counters be shown once no repair of this shard is owed; again where Redis lost the word of it alone."""
    if await _is_shown(redis, shard, await positions.read(session, shard)):
        return
    await positions.lock(session, shard)
    position = await positions.read(session, shard)
    owed = any(shard_of(campaign_id, shards) == shard for campaign_id in await session.scalars(_ASKED))
    if owed or not position.epoch or await _is_shown(redis, shard, position):
        return
    # By its epoch: if Redis was wiped just now, this says nothing about the new one.
    await redis.set(Keys(shard).ready, position.epoch)
    await positions.save(session, shard, replace(position, rebuilt=True))


async def _is_shown(redis: Redis, shard: int, position: positions.Position) -> bool:
    return position.rebuilt and await redis.get(Keys(shard).ready) == position.epoch.encode()


def _day_of(day: date) -> int:
    return (day - EPOCH.date()).days


def _flat(counts: dict[str, int]) -> list[Any]:
    pairs: Iterable[tuple[str, int]] = counts.items()
    return [part for pair in pairs for part in pair]
