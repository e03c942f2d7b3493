"""The lag is told whether or not anything is drained."""

from __future__ import annotations

from datetime import timedelta

import pytest
from prometheus_client import REGISTRY
from redis import Redis

from app.kit import clock
from app.resources import Resources
from app.tracking.keys import Keys, shard_of
from app.worker import lag
from tests.factories.tracking import Link, OwnValkey, drain_all, make_hit


def metric(name: str, shard: int) -> float:
    value = REGISTRY.get_sample_value(f"invitree_tracking_{name}", {"shard": str(shard)})
    assert value is not None
    return value


async def test_the_lag_is_the_age_of_the_oldest_entry_also_while_redis_is_away(
    resources: Resources, redis: Redis, valkey: OwnValkey, link: Link, capfd: pytest.CaptureFixture[str]
) -> None:
    shard = shard_of(link.target.campaign_id, 2)
    then = int((clock.utcnow() - timedelta(seconds=90)).timestamp() * 1000)
    redis.delete(Keys(shard).stream)
    redis.xadd(Keys(shard).stream, {"some": "thing"}, id=f"{then}-0")
    watch = lag.Watch()
    await watch.look(resources)
    assert 90 <= metric("lag_seconds", shard) < 120
    assert metric("waiting_entries", shard) == 1
    known = metric("lag_seconds", shard)
    with valkey.paused():
        await watch.look(resources)
    assert metric("lag_seconds", shard) > known
    redis.delete(Keys(shard).stream)
    await watch.look(resources)
    assert (metric("lag_seconds", shard), metric("waiting_entries", shard)) == (0, 0)
    said = capfd.readouterr().err
    assert said.count("tracking_lags") == 1
    assert said.count("tracking_caught_up") == 1
    await resources.tracker.record([make_hit(link)])
    await drain_all(resources)
