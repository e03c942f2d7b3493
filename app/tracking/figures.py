"""Live figures out of Redis, each of one moment and in one round trip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from redis.asyncio import Redis

from app.kit import ids
from app.tracking import lua
from app.tracking.keys import Keys, shard_of
from app.tracking.live import AWAY, numbers
from app.tracking.series import Cell

# Reading a hash keeps Redis from everybody else, some 0.7 ms a thousand fields. A longer history is read from the rows.
MOST_FIELDS = 10_000


@dataclass(frozen=True, slots=True)
class Live:
    """`cells` is None where there are too many for everybody to wait."""

    counters: dict[str, int]
    cells: list[Cell] | None


async def of_campaign(redis: Redis, shards: int, campaign_id: str) -> Live | None:
    """None where Redis is away or has not been rebuilt since it lost its past."""
    campaign = ids.decode("cmp", campaign_id)
    keys = Keys(shard_of(campaign, shards))
    names = (keys.epoch, keys.ready, keys.campaign(campaign), keys.hours(campaign))
    try:
        epoch, ready, counters, hours = await lua.FIGURES.run(redis, names, (MOST_FIELDS,))
    except AWAY:
        return None
    if epoch is None or epoch != ready:
        return None
    counts = dict(zip(counters[::2], counters[1::2], strict=True))
    return Live(numbers(counts), None if hours is None else list(_cells(hours)))


async def of_participant(redis: Redis, shards: int, campaign_id: str, participant_id: str) -> dict[str, int] | None:
    keys = Keys(shard_of(ids.decode("cmp", campaign_id), shards))
    try:
        async with redis.pipeline(transaction=True) as pipe:
            pipe.mget(keys.epoch, keys.ready)
            pipe.hgetall(keys.participant(ids.decode("ptc", participant_id)))
            (epoch, ready), counters = await pipe.execute()
    except AWAY:
        return None
    return numbers(counters) if epoch is not None and epoch == ready else None


def _cells(flat: Sequence[bytes]) -> Iterator[Cell]:
    """Of `hour|channel|counter` and their numbers in turn."""
    for name, number in zip(flat[::2], flat[1::2], strict=True):
        hour, channel, counter = name.decode().split("|")
        yield Cell(int(hour), channel, counter, int(number))
