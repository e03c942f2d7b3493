"""What a process keeps for tracking: known codes, and a batcher for each shard."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from redis.asyncio import Redis

from app.db.session import Database
from app.tracking import lookup, metrics
from app.tracking.batcher import Batcher
from app.tracking.channels import Channels
from app.tracking.codes import CodeCache
from app.tracking.hits import Hit
from app.tracking.keys import shard_of
from app.tracking.recorder import Recorder


class Tracker:
    """`secret` keys the visitors' cookies and hashes. Opens nothing before the first event."""

    def __init__(self, db: Database, redis: Redis, *, shards: int, secret: bytes) -> None:
        self.redis, self.shards, self.secret = redis, shards, secret
        self.codes = CodeCache(partial(lookup.find, db))
        self.channels = Channels(partial(lookup.register_channel, db))
        self._recorders = [Recorder(db, redis, shard) for shard in range(shards)]
        self._batchers = [Batcher(recorder.record) for recorder in self._recorders]

    async def record(self, hits: Sequence[Hit]) -> list[bool]:
        """For each hit whether it was new, when it is recorded for good. NotRecordedError where no store took one."""
        by_shard: dict[int, list[int]] = {}
        for place, hit in enumerate(hits):
            by_shard.setdefault(shard_of(hit.target.campaign_id, self.shards), []).append(place)
        new = [False] * len(hits)
        for shard, places in by_shard.items():
            answers = await self._batchers[shard].add([hits[place] for place in places])
            for place, answer in zip(places, answers, strict=True):
                new[place] = answer
        for hit, is_new in zip(hits, new, strict=True):
            metrics.EVENTS.labels(hit.outcome if is_new else "duplicate").inc()
        return new

    async def close(self) -> None:
        await self.codes.close()
        for batcher in self._batchers:
            await batcher.close()
        for recorder in self._recorders:
            await recorder.close()
