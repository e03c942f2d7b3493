"""Tracking behind the scenes: draining Redis' streams, partitions, retention."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

from app.kit import clock, logging
from app.resources import Resources
from app.tracking import hours, journal, live, pieces, positions, retention, rows, stream
from app.tracking.drain import Drained
from app.tracking.keys import shard_of
from app.tracking.pieces import Ahead
from app.worker import away
from app.worker.relay import Relay, transaction

log = logging.get(__name__)
# Until each shard has had its turn, and how long one is at least: the first pieces of a turn are small. Who stops the
# worker waits for the end of one.
ROUND_SECONDS, TURN_SECONDS = 4.0, 0.5


async def keep_draining(resources: Resources) -> int:
    """As `drain_streams`; 0 as soon as no shard lags, so that events gather for a moment."""
    found = await _drain_shards(resources)
    return found if found >= pieces.LEAST_COPIED else 0


async def drain_streams(resources: Resources) -> int:
    """What every shard has now that no other worker drains, at most for a moment each; how many events there were."""
    try:
        return await _drain_shards(resources)
    finally:
        # Who asks once may not ask again.
        await resources.leases.release()


async def _drain_shards(resources: Resources) -> int:
    found = 0
    for shard in range(resources.settings.track_shards):
        found += await drain_shard(resources, shard)
    return found


async def drain_shard(resources: Resources, shard: int) -> int:
    """0 also while Redis is away, or another worker has this shard."""
    if not await resources.leases.hold(shard):
        return 0
    found = 0
    try:
        async with resources.leases.kept(shard):
            async for drained in _pieces(resources, shard):
                found += drained.events
    except live.AWAY as error:
        away.tell(resources, error, task="drain_streams", shard=shard)
    else:
        away.is_back(resources, task="drain_streams", shard=shard)
    return found


async def _pieces(resources: Resources, shard: int) -> AsyncIterator[Drained]:
    """Until nothing more is there, or others have waited long enough."""
    until = time.monotonic() + max(TURN_SECONDS, ROUND_SECONDS / resources.settings.track_shards)
    async with transaction(resources) as session:
        position = await positions.read(session, shard)
    ahead = Ahead(resources.redis, shard, position.position, until=until)
    relay = Relay(resources, shard, ahead)
    try:
        piece = await ahead.take()
        if piece and not piece.entries and position.sequence >= 0 and position.is_followed_by(piece.window):
            # What a worker left that died after its commit: repairs would wait for its end.
            await stream.trim(resources.redis, shard, through=position.position)
            return
        drained = await relay.take(piece)
        while drained:
            yield drained
            if drained.reread:
                if time.monotonic() > until:
                    return
                await relay.restart(drained.through)
            drained = await relay.take()
    finally:
        await relay.stop()
        await ahead.stop()


async def fold_old_hours(resources: Resources) -> int:
    """Campaign by campaign; those whose part of Redis is away have their turn the next time."""
    async with resources.db.system() as session:
        found = await rows.campaigns(session, None, None)
    for _, campaign_id in found:
        shard = shard_of(campaign_id, resources.settings.track_shards)
        try:
            await hours.fold(resources.redis, resources.settings.track_shards, campaign_id, now=clock.utcnow())
        except live.AWAY as error:
            away.tell(resources, error, task="fold_old_hours", shard=shard)
        else:
            away.is_back(resources, task="fold_old_hours", shard=shard)
    return 0


async def rewrite_journals(resources: Resources) -> int:
    try:
        begun = await journal.rewrite(resources.redis, resources.settings.track_shards)
    except live.AWAY as error:  # also where the user may not, or the provider does it by itself
        log.warning("append_only_file_not_rewritten", error=repr(error))
        return 0
    return begun


async def make_event_partitions(resources: Resources) -> int:
    async with resources.db.system() as session:
        await retention.make_partitions(session, now=clock.utcnow())
    return 0


async def forget_event_origins(resources: Resources) -> int:
    """Day by day, each in a transaction of its own."""
    async with resources.db.system() as session:
        return int(await retention.forget_origins(session, now=clock.utcnow()))


async def drop_old_events(resources: Resources) -> int:
    """Day by day, each in a transaction of its own. Their rollups stay."""
    kept_days = resources.settings.events_kept_days
    async with resources.db.system() as session:
        return int(await retention.drop_events(session, now=clock.utcnow(), kept_days=kept_days))


async def forget_event_keys(resources: Resources) -> int:
    async with resources.db.system() as session:
        await retention.forget_event_keys(session, now=clock.utcnow())
        await retention.forget_set_aside(session, now=clock.utcnow())
    return 0
