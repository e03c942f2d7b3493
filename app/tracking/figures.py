"""Live figures out of Redis, each of one moment and in one round trip."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from app.kit import ids
from app.tracking import lua
from app.tracking.keys import Keys, shard_of
from app.tracking.live import AWAY, numbers
from app.tracking.series import Cell

# Reading a hash keeps Redis from everybody else, some 0.7 ms a thousand fields. A longer history is read from the rows.
MOST_FIELDS = 10_000
# After a reading that failed; where no events come, no breaker has noticed.
PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Live:
    """`cells` is None where there are too many for everybody to wait."""

    counters: dict[str, int]
    cells: list[Cell] | None


class Figures:
    """None where Redis is away, or has not been rebuilt since it lost its past.

    Nobody waits for a Redis that is known to be away: `is_bypassed` says of a shard whether its events go past it.
    """

    def __init__(
        self,
        redis: Redis,
        shards: int,
        *,
        is_bypassed: Callable[[int], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis, self._shards, self._is_bypassed, self._clock = redis, shards, is_bypassed, clock
        # By shard when to try again.
        self._away: dict[int, float] = {}

    async def of_campaign(self, campaign_id: str) -> Live | None:
        campaign = ids.decode("cmp", campaign_id)
        found = await self._read(shard_of(campaign, self._shards), lambda keys: self._campaign(keys, campaign_id))
        if found is None:
            return None
        counters, hours = found
        counts = dict(zip(counters[::2], counters[1::2], strict=True))
        return Live(numbers(counts), None if hours is None else list(_cells(hours)))

    async def of_participant(self, campaign_id: str, participant_id: str) -> dict[str, int] | None:
        shard = shard_of(ids.decode("cmp", campaign_id), self._shards)
        found = await self._read(shard, lambda keys: self._participant(keys, participant_id))
        return None if found is None else numbers(found)

    async def _read(self, shard: int, read: Callable[[Keys], Awaitable[tuple[Any, Any, Any]]]) -> Any:
        """What `read` says behind epoch and readiness."""
        now, again_at = self._clock(), self._away.get(shard)
        if self._is_bypassed(shard) or (again_at is not None and now < again_at):
            return None
        if again_at is not None:
            self._away[shard] = now + PAUSE_SECONDS  # this one tries for all
        try:
            epoch, ready, found = await read(Keys(shard))
        except AWAY:
            self._away[shard] = self._clock() + PAUSE_SECONDS
            return None
        self._away.pop(shard, None)
        return found if epoch is not None and epoch == ready else None

    async def _campaign(self, keys: Keys, campaign_id: str) -> tuple[Any, Any, Any]:
        campaign = ids.decode("cmp", campaign_id)
        names = (keys.epoch, keys.ready, keys.campaign(campaign), keys.hours(campaign))
        epoch, ready, *found = await lua.FIGURES.run(self._redis, names, (MOST_FIELDS,))
        return epoch, ready, found

    async def _participant(self, keys: Keys, participant_id: str) -> tuple[Any, Any, Any]:
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.mget(keys.epoch, keys.ready)
            pipe.hgetall(keys.participant(ids.decode("ptc", participant_id)))
            (epoch, ready), found = await pipe.execute()
        return epoch, ready, found


def _cells(flat: Sequence[bytes]) -> Iterator[Cell]:
    """Of `hour|channel|counter` and their numbers in turn."""
    for name, number in zip(flat[::2], flat[1::2], strict=True):
        hour, channel, counter = name.decode().split("|")
        yield Cell(int(hour), channel, counter, int(number))
