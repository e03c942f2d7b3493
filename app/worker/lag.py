"""How far Postgres is behind Redis, told whether or not anything is drained just now."""

from __future__ import annotations

from app.kit import clock, logging
from app.resources import Resources
from app.tracking import live, metrics, stream

log = logging.get(__name__)
LONG_SECONDS = 30.0
SHORT_SECONDS = 5.0


class Watch:
    """Asks Redis only: what is drained is trimmed. While Redis is away, what was waiting is taken to wait on."""

    def __init__(self) -> None:
        self._oldest: dict[int, str | None] = {}
        # By shard the lag that was told last; told again when it has doubled.
        self._told: dict[int, float] = {}

    async def look(self, resources: Resources) -> int:
        for shard in range(resources.settings.track_shards):
            try:
                self._oldest[shard], waiting = await stream.oldest(resources.redis, shard)
                metrics.WAITING.labels(shard).set(waiting)
            except live.AWAY as error:
                log.debug("lag_unknown", shard=shard, error=repr(error))
            self._tell(shard)
        return 0

    def _tell(self, shard: int) -> None:
        oldest = self._oldest.get(shard)
        lag = stream.age_seconds(oldest, clock.utcnow().timestamp() * 1000) if oldest else 0.0
        metrics.LAG_SECONDS.labels(shard).set(lag)
        if lag > max(LONG_SECONDS, 2 * self._told.get(shard, 0.0)):
            log.warning("tracking_lags", shard=shard, seconds=round(lag))
            self._told[shard] = lag
        elif lag < SHORT_SECONDS and self._told.pop(shard, None) is not None:
            log.warning("tracking_caught_up", shard=shard)
