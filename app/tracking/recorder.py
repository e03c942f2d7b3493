"""Where a shard's batches go: to Redis, and straight to Postgres while Redis does not take them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.db.session import Database
from app.kit import logging
from app.tracking import live, metrics, rules, store
from app.tracking.hits import Hit

log = logging.get(__name__)
# The batch may have been recorded although no answer came.
UNANSWERED = (RedisConnectionError, RedisTimeoutError, OSError)
PROBE_SECONDS = 0.25
# Whoever opened a link waits for this at the worst.
POSTGRES_SECONDS = 3.0


class Recorder:
    def __init__(self, db: Database, redis: Redis, shard: int) -> None:
        self._db, self._redis, self._shard = db, redis, shard
        self._probe: asyncio.Task[None] | None = None

    @property
    def bypasses_redis(self) -> bool:
        return self._probe is not None and not self._probe.done()

    async def record(self, hits: Sequence[Hit]) -> list[bool]:
        """For each hit whether it was new, when one of the stores has them all."""
        started = time.perf_counter()
        if not self.bypasses_redis:
            try:
                new = await self._to_redis(hits)
            except live.AWAY as error:
                self._bypass(error)
            else:
                metrics.ACK_SECONDS.labels("redis").observe(time.perf_counter() - started)
                return new
        new = await self._to_postgres(hits)
        metrics.ACK_SECONDS.labels("postgres").observe(time.perf_counter() - started)
        return new

    async def close(self) -> None:
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.wait([self._probe])

    async def _to_redis(self, hits: Sequence[Hit]) -> list[bool]:
        batch = live.make_batch(self._shard, hits)
        try:
            repeats = await live.record(self._redis, batch)
        except UNANSWERED:
            repeats = await live.record(self._redis, batch)
        left_out = frozenset(repeats)
        return [place not in left_out for place in range(len(hits))]

    async def _to_postgres(self, hits: Sequence[Hit]) -> list[bool]:
        """The same ids: what Redis has recorded all the same is told by them when its stream is drained."""
        async with asyncio.timeout(POSTGRES_SECONDS), self._db.system() as session:
            new = {hit.id for hit in await store.record(session, hits)}
            await store.ask_repairs(session, rules.campaigns(hits))
        # An id of our own is new by birth: if it is stored already, then by a batch whose answer was lost.
        return [hit.id in new or hit.client_event_id is None for hit in hits]

    def _bypass(self, error: Exception) -> None:
        log.warning("redis_bypassed", shard=self._shard, error=repr(error))
        metrics.BREAKER_OPEN.labels(self._shard).set(1)
        self._probe = asyncio.create_task(self._wait_for_redis())

    async def _wait_for_redis(self) -> None:
        while True:
            await asyncio.sleep(PROBE_SECONDS)
            try:
                await self._redis.ping()
            except live.AWAY:
                continue
            break
        metrics.BREAKER_OPEN.labels(self._shard).set(0)
        log.warning("redis_used_again", shard=self._shard)
