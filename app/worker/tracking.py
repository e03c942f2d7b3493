"""Tracking behind the scenes: draining Redis' streams, partitions, retention."""

from __future__ import annotations

from app.kit import clock, logging
from app.resources import Resources
from app.tracking import drain, live, retention, stream

log = logging.get(__name__)


async def drain_streams(resources: Resources) -> int:
    """One piece of every shard; how many events there were."""
    found = 0
    for shard in range(resources.settings.track_shards):
        found += await drain_shard(resources, shard)
    return found


async def drain_shard(resources: Resources, shard: int) -> int:
    """0 also while Redis is away, or another worker has this shard."""
    shards = resources.settings.track_shards
    try:
        async with resources.db.system() as session:
            drained = await drain.drain(session, resources.redis, shard=shard, shards=shards)
        if drained is None or not drained.events:
            return 0
        # Only now: until the commit the stream is the one place that has them.
        await stream.trim(resources.redis, shard, through=drained.through)
    except live.AWAY as error:
        log.warning("redis_away", task="drain_streams", shard=shard, error=repr(error))
        return 0
    return drained.events


async def make_event_partitions(resources: Resources) -> int:
    async with resources.db.system() as session:
        await retention.make_partitions(session, now=clock.utcnow())
    return 0


async def forget_event_origins(resources: Resources) -> int:
    """Day by day, each in a transaction of its own."""
    async with resources.db.system() as session:
        return int(await retention.forget_origins(session, now=clock.utcnow()))


async def forget_event_keys(resources: Resources) -> int:
    async with resources.db.system() as session:
        await retention.forget_event_keys(session, now=clock.utcnow())
    return 0
