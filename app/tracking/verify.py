"""Do live counters, rollups and rows say the same? Read under the shard's lock, with what waits in the stream added."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit import clock, ids
from app.tracking import hours, live, positions, rows, stream
from app.tracking.hits import COUNTERS, Hit
from app.tracking.keys import Keys, shard_of
from app.tracking.rows import UNIQUE, Counts


@dataclass(frozen=True, slots=True)
class Difference:
    """`counted` is what Redis or a rollup says of a participant, a campaign or its hours, `rows` what it should be."""

    store: Literal["redis", "rollup"]
    campaign_id: str
    where: str
    counter: str
    counted: int
    rows: int


async def participants(
    session: AsyncSession,
    redis: Redis,
    shards: int,
    *,
    merchant_id: UUID,
    campaign_id: UUID,
    participants: Sequence[UUID],
) -> list[Difference]:
    keys = Keys(shard_of(campaign_id, shards))
    await positions.lock(session, keys.shard, positions.COMPARES)
    names = [keys.participant(participant) for participant in participants]
    waiting, found = await _read(session, redis, keys, names, campaign_id)
    wanted = await rows.of_participants(session, merchant_id, participants)
    own: dict[UUID, list[Hit]] = {}
    for hit in waiting:
        own.setdefault(hit.target.participant_id, []).append(hit)
    differences: list[Difference] = []
    for participant, counters in zip(participants, found, strict=True):
        where, expected = ids.encode("ptc", participant), _with(wanted[participant], own.get(participant, ()))
        differences += _compare(campaign_id, where, counters, expected)
    return differences


async def campaign(
    session: AsyncSession, redis: Redis, shards: int, *, merchant_id: UUID, campaign_id: UUID
) -> list[Difference]:
    keys = Keys(shard_of(campaign_id, shards))
    await positions.lock(session, keys.shard, positions.COMPARES)
    names = [keys.campaign(campaign_id), keys.hours(campaign_id)]
    waiting, (counters, found_hours) = await _read(session, redis, keys, names, campaign_id)
    wanted, wanted_hours = await rows.of_campaign(session, merchant_id, campaign_id)
    for hit in waiting:
        field = live.hour_field(hit.hour, hit.channel, hit.counter)
        wanted_hours[field] = wanted_hours.get(field, 0) + 1
    shown = hours.shown_from(clock.utcnow())
    return [
        *_compare(campaign_id, "campaign", counters, _with(wanted, waiting)),
        *_compare(campaign_id, "hour", hours.folded(found_hours, shown), hours.folded(wanted_hours, shown)),
    ]


async def _read(
    session: AsyncSession, redis: Redis, keys: Keys, names: Sequence[str], campaign_id: UUID
) -> tuple[list[Hit], list[Counts]]:
    """What waits of this campaign and the hashes, of one moment."""
    position = await positions.read(session, keys.shard)
    async with redis.pipeline(transaction=True) as pipe:
        pipe.xrange(keys.stream, f"({position.position}", "+")
        for name in names:
            pipe.hgetall(name)
        entries, *hashes = await pipe.execute()
    hits = stream.window(b"", None, entries).hits
    return [hit for hit in hits if hit.target.campaign_id == campaign_id], [live.numbers(found) for found in hashes]


def _with(counts: Counts, waiting: Sequence[Hit]) -> Counts:
    """Waiting visits may be known or new: then the visitors are left out of the comparison."""
    added = Counter(hit.counter for hit in waiting)
    summed = {name: counts[name] + added[name] for name in COUNTERS}
    return summed if any(hit.visit_day is not None for hit in waiting) else {**summed, UNIQUE: counts[UNIQUE]}


def _compare(campaign_id: UUID, where: str, found: Mapping[str, int], wanted: Counts) -> Iterator[Difference]:
    names = wanted.keys() if where != "hour" else wanted.keys() | found.keys()
    for name in sorted(names):
        if found.get(name, 0) != wanted.get(name, 0):
            counted, expected = found.get(name, 0), wanted.get(name, 0)
            yield Difference("redis", ids.encode("cmp", campaign_id), where, name, counted, expected)
