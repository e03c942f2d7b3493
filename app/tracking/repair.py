"""Live counters set right from the rows, while events arrive: each piece is exact at the moment it is written.

A piece holds its shard's lock, so that nothing is drained meanwhile. What Postgres has is then what was drained through
the shard's position (and what came by no stream at all), and the stream behind that position holds the rest; the script
adds the two up in one step. All of it runs as *system*.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.tracking import lua, positions, rows, stream
from app.tracking.hits import date_of, day_of, micros
from app.tracking.keys import Keys, shard_of
from app.tracking.live import VISITOR_SECONDS

PIECE = 200
MOST_WAITING = 500
# Events of these days may still come, and must be told from the visitors that are known.
DAYS_BACK = 3

_pack = msgspec.msgpack.Encoder().encode
_OLDEST = text("""
    SELECT merchant_id, campaign_id, array_agg(id) FROM counter_repairs
    GROUP BY merchant_id, campaign_id ORDER BY min(requested_at) LIMIT 1
""")
_DONE = text("DELETE FROM counter_repairs WHERE merchant_id = :merchant AND id = ANY(:ids)")
_ASKED = text("SELECT DISTINCT campaign_id FROM counter_repairs")


@dataclass(frozen=True, slots=True)
class Request:
    """All that was asked for one campaign by now. What is asked later asks for another repair."""

    merchant_id: UUID
    campaign_id: UUID
    ids: list[UUID]


async def next_request(session: AsyncSession) -> Request | None:
    row = (await session.execute(_OLDEST)).one_or_none()
    return None if row is None else Request(*row)


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
    known = await rows.visitors_of(session, merchant_id, participants, [date_of(day) for day in days])
    names = [keys.stream, keys.campaign(campaign_id)]

    def place(key: str) -> int:
        names.append(key)
        return len(names)

    plan = [
        (
            participant.hex,
            place(keys.participant(participant)),
            _flat(counts[participant]),
            [(day, place(keys.visitors(participant, day)), known.get((participant, date_of(day)), ())) for day in days],
        )
        for participant in participants
    ]
    arguments = (position.position, campaign_id.hex, VISITOR_SECONDS, _pack(plan))
    await lua.REPAIR_PARTICIPANTS.run(redis, names, arguments)


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
    names = (keys.stream, keys.campaign(campaign_id), keys.hours(campaign_id))
    arguments = (position.position, campaign_id.hex, _pack(_flat(counts)), _pack(_flat(hours)))
    await lua.REPAIR_CAMPAIGN.run(redis, names, arguments)


async def show_again(session: AsyncSession, redis: Redis, *, shard: int, shards: int) -> None:
    """Let live counters be shown once no repair of this shard is owed."""
    await positions.lock(session, shard)
    position = await positions.read(session, shard)
    owed = any(shard_of(campaign_id, shards) == shard for campaign_id in await session.scalars(_ASKED))
    if position.rebuilt or owed or not position.epoch:
        return
    # By its epoch: if Redis was wiped just now, this says nothing about the new one.
    await redis.set(Keys(shard).ready, position.epoch)
    await positions.save(session, shard, replace(position, rebuilt=True))


def _flat(counts: dict[str, int]) -> list[Any]:
    pairs: Iterable[tuple[str, int]] = counts.items()
    return [part for pair in pairs for part in pair]
