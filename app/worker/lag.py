"""How far Postgres is behind Redis, told whether or not anything is drained just now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.kit import clock, logging
from app.resources import Resources
from app.tracking import live, metrics, stream
from app.tracking.keys import Keys

log = logging.get(__name__)
LONG_SECONDS = 30.0
SHORT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Seen:
    """`waiting` of the batches through `sequence` were not in Postgres yet."""

    epoch: bytes | None
    sequence: int
    waiting: int
    at: datetime


class Watch:
    """Asks Redis only: what is drained is trimmed. While Redis is away, what was waiting is taken to wait on."""

    def __init__(self) -> None:
        self._oldest: dict[int, str | None] = {}
        # By shard the lag that was told last; told again when it has doubled.
        self._told: dict[int, float] = {}
        self._seen: dict[int, _Seen] = {}

    async def look(self, resources: Resources) -> int:
        for shard in range(resources.settings.track_shards):
            try:
                self._oldest[shard], waiting = await stream.oldest(resources.redis, shard)
                metrics.WAITING.labels(shard).set(waiting)
                await self._compare(resources, shard, waiting)
            except live.AWAY as error:
                log.debug("lag_unknown", shard=shard, error=repr(error))
            self._tell(shard)
        return 0

    async def _compare(self, resources: Resources, shard: int, waiting: int) -> None:
        """Say how much can be missing at the most where Redis lost its past since the last look."""
        keys, before = Keys(shard), self._seen.get(shard)
        found: list[Any] = await resources.redis.mget(keys.epoch, keys.sequence)
        epoch, sequence = found
        through = int(sequence) if (sequence or b"").isdigit() else 0
        now = self._seen[shard] = _Seen(epoch, through, waiting, clock.utcnow())
        if before is None or before.epoch is None or (now.epoch == before.epoch and now.sequence >= before.sequence):
            return
        log.error(
            "undrained_events_lost",
            shard=shard,
            batches_at_most=before.waiting,
            and_those_of_seconds=round((now.at - before.at).total_seconds(), 1),
            seen_through=before.sequence,
        )

    def _tell(self, shard: int) -> None:
        oldest = self._oldest.get(shard)
        lag = stream.age_seconds(oldest, clock.utcnow().timestamp() * 1000) if oldest else 0.0
        metrics.LAG_SECONDS.labels(shard).set(lag)
        if lag > max(LONG_SECONDS, 2 * self._told.get(shard, 0.0)):
            log.warning("tracking_lags", shard=shard, seconds=round(lag))
            self._told[shard] = lag
        elif lag < SHORT_SECONDS and self._told.pop(shard, None) is not None:
            log.warning("tracking_caught_up", shard=shard)
