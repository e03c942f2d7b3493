"""Redis' append-only file: what was written to it, visitors' addresses too, stays in it until it is written anew."""

from __future__ import annotations

from datetime import timedelta

from redis.asyncio import Redis

from app.db.redis import master_of, masters
from app.kit import logging
from app.tracking.keys import Keys

log = logging.get(__name__)
# By itself Redis does it where the file has doubled and has 64 MB: with few visitors not for months.
EVERY = timedelta(days=7)


async def rewrite(redis: Redis, shards: int) -> int:
    """Have each server write its file anew, once in a while whoever asks; how many began. RedisError."""
    found = await masters(redis)
    keys = {await master_of(redis, Keys(shard).stream): Keys(shard) for shard in range(shards)}
    begun = 0
    for name, own in keys.items():
        server = found[name]
        if not (await server.info("persistence")).get("aof_enabled"):
            continue
        if await redis.set(own.rewritten, "1", nx=True, ex=EVERY):
            await server.bgrewriteaof()
            log.info("append_only_file_rewritten", server=name)
            begun += 1
    return begun
