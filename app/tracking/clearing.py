"""All that Redis keeps of tracking, taken away: for another number of shards, where every key has another place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from redis.asyncio import Redis

from app.db.redis import masters
from app.settings import MOST_SHARDS
from app.tracking import stream
from app.tracking.keys import Keys

MOST_AT_ONCE = 1_000


async def waiting(redis: Redis) -> dict[int, int]:
    """By shard how many batches wait in its stream; also of those that nobody drains."""
    found = {shard: await stream.length(redis, shard) for shard in range(MOST_SHARDS)}
    return {shard: batches for shard, batches in found.items() if batches}


async def clear(redis: Redis, *, tell: Callable[[int], None]) -> None:
    """When all is drained. `tell` hears how many keys are gone.

    At first what says that the rest is complete: broken off anywhere, it is a Redis that was wiped.
    """
    for shard in range(MOST_SHARDS):
        keys = Keys(shard)
        await redis.unlink(keys.epoch, keys.ready, keys.sequence, keys.stream)
    for server in (await masters(redis)).values():
        await _clear_server(server, tell)


async def _clear_server(server: Redis, tell: Callable[[int], None]) -> None:
    client: Any = server
    cursor: int | None = None
    while cursor != 0:
        cursor, names = await client.scan(cursor or 0, match="trk:{s*}:*", count=MOST_AT_ONCE)
        by_shard: dict[bytes, list[bytes]] = {}
        for name in names:
            by_shard.setdefault(name.partition(b"}")[0], []).append(name)
        for of_shard in by_shard.values():
            tell(await client.unlink(*of_shard))
