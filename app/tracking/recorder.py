"""Where a shard's batches go: to Redis, and straight to Postgres while Redis does not take them.

Whatever Redis does instead of taking a batch, the same hits go to Postgres under the same ids. Those that it recorded
all the same are told by their ids when its stream is drained.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from app.db.session import Database
from app.kit import logging
from app.kit.patience import within
from app.tracking import fallback, live, metrics
from app.tracking.hits import Hit

log = logging.get(__name__)
# All that a batch waits for Redis, a second try included. Whoever opened a link then waits for Postgres, too.
REDIS_SECONDS = 0.5
POSTGRES_SECONDS = 3.0
POSTGRES_PAUSE_SECONDS = 0.5
PROBE_SECONDS = 0.25
# A Redis that takes probes and fails at batches costs one batch its time-out at each of these pauses.
LONGEST_PAUSE_SECONDS = 8.0
STEADY_SECONDS = 5.0
_IN_REDIS, _IN_POSTGRES = (metrics.ACK_SECONDS.labels(store) for store in ("redis", "postgres"))


class Recorder:
    def __init__(self, db: Database, redis: Redis, shard: int) -> None:
        self._db, self._redis, self._shard = db, redis, shard
        self._probe: asyncio.Task[None] | None = None
        self._pause, self._used_again_at = PROBE_SECONDS, 0.0
        self._postgres_again_at = 0.0
        # The batches of all shards share a few connections, and the one before must not use up the next one's time.
        self._postgres_turn = asyncio.Lock()
        metrics.BREAKER_OPEN.labels(shard).set(0)

    @property
    def bypasses_redis(self) -> bool:
        return self._probe is not None and not self._probe.done()

    async def record(self, hits: Sequence[Hit]) -> list[bool]:
        """For each hit whether it was new, when one of the stores has them all."""
        started, began = time.perf_counter(), time.monotonic()
        if not self.bypasses_redis:
            try:
                async with asyncio.timeout(REDIS_SECONDS):
                    new = await self._to_redis(hits)
            except Exception as error:  # noqa: BLE001 - it may answer anything: what it does not take goes on to Postgres
                self._bypass(error, began)
            else:
                _IN_REDIS.observe(time.perf_counter() - started)
                return new
            started = time.perf_counter()
        async with self._postgres_turn:
            new = await self._to_postgres(hits)
        _IN_POSTGRES.observe(time.perf_counter() - started)
        return new

    async def close(self) -> None:
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.wait([self._probe])

    async def _to_redis(self, hits: Sequence[Hit]) -> list[bool]:
        batch = live.make_batch(self._shard, hits)
        try:
            repeats = await live.record(self._redis, batch)
        except RedisConnectionError:
            # Broken off, as by a restart: recorded or not, the batch is told by its guard. One that has not been
            # answered in time is not sent again: it would wait behind the first.
            repeats = await live.record(self._redis, batch)
        if not repeats:
            return [True] * len(hits)
        left_out = frozenset(repeats)
        return [place not in left_out for place in range(len(hits))]

    async def _to_postgres(self, hits: Sequence[Hit]) -> list[bool]:
        if time.monotonic() < self._postgres_again_at:
            raise ConnectionError("Postgres did not take the batch before this one, a moment ago.")
        try:
            return await within(POSTGRES_SECONDS, self._twice(hits))
        except Exception:
            # Else each batch waits as long as this one did, one behind the other.
            self._postgres_again_at = time.monotonic() + POSTGRES_PAUSE_SECONDS
            raise

    async def _twice(self, hits: Sequence[Hit]) -> list[bool]:
        try:
            return await fallback.record(self._db, hits)
        except Exception as error:  # noqa: BLE001 - a restart, a deadlock: by their ids nothing counts twice
            log.warning("batch_sent_again", store="postgres", error=repr(error))
            return await fallback.record(self._db, hits)

    def _bypass(self, error: Exception, began: float) -> None:
        """`began`: when the batch left. Those that left with one that failed before say nothing new."""
        if self.bypasses_redis or began < self._used_again_at:
            return
        log.warning("redis_bypassed", shard=self._shard, error=repr(error))
        metrics.BREAKER_OPEN.labels(self._shard).set(1)
        metrics.BYPASSES.labels(self._shard).inc()
        steady = time.monotonic() - self._used_again_at > STEADY_SECONDS
        self._pause = PROBE_SECONDS if steady else min(2 * self._pause, LONGEST_PAUSE_SECONDS)
        self._probe = asyncio.create_task(self._wait_for_redis())

    async def _wait_for_redis(self) -> None:
        pause = self._pause
        while True:
            await asyncio.sleep(pause)
            if await self._takes_batches():
                break
            pause = PROBE_SECONDS
        self._used_again_at = time.monotonic()
        metrics.BREAKER_OPEN.labels(self._shard).set(0)
        log.warning("redis_used_again", shard=self._shard)

    async def _takes_batches(self) -> bool:
        """Tried with one of no hits, which writes as any does: a Redis that is full or read-only answers PING."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(REDIS_SECONDS):
                await self._to_redis([])
            return True
        return False
