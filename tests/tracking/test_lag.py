"""The lag is told whether or not anything is drained."""

from __future__ import annotations

from datetime import timedelta

import pytest
from prometheus_client import REGISTRY
from redis import Redis
from structlog.testing import CapturingLogger

from app.kit import clock
from app.resources import Resources
from app.tracking.keys import Keys, shard_of
from app.worker import away, lag, tracking
from tests.factories.tracking import Link, OwnValkey, drain_all, make_hit, settle


def metric(name: str, shard: int) -> float:
    value = REGISTRY.get_sample_value(f"invitree_tracking_{name}", {"shard": str(shard)})
    assert value is not None
    return value


async def test_the_lag_is_the_age_of_the_oldest_entry_also_while_redis_is_away(
    resources: Resources, redis: Redis, valkey: OwnValkey, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = shard_of(link.target.campaign_id, 2)
    then = int((clock.utcnow() - timedelta(seconds=90)).timestamp() * 1000)
    redis.delete(Keys(shard).stream)
    redis.xadd(Keys(shard).stream, {"some": "thing"}, id=f"{then}-0")
    said = CapturingLogger()
    monkeypatch.setattr(lag, "log", said)
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
    told = [call.args[0] for call in said.calls if call.method_name == "warning"]
    assert told == ["tracking_lags", "tracking_caught_up"]
    await resources.tracker.record([make_hit(link)])
    await drain_all(resources)


async def test_after_a_wipe_it_is_said_how_much_can_be_missing(
    resources: Resources, redis: Redis, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = shard_of(link.target.campaign_id, 2)
    for _ in range(3):
        await resources.tracker.record([make_hit(link)])
    said = CapturingLogger()
    monkeypatch.setattr(lag, "log", said)
    watch = lag.Watch()
    await watch.look(resources)
    seen = int(redis.get(Keys(shard).sequence) or 0)
    redis.flushall()
    for _ in range(2):
        await watch.look(resources)
    (call,) = [call for call in said.calls if call.args == ("undrained_events_lost",) and call.kwargs["shard"] == shard]
    assert (call.kwargs["batches_at_most"], call.kwargs["seen_through"]) == (3, seen)
    await settle(resources)


async def test_a_redis_that_is_away_is_told_of_once_and_when_it_is_back(
    resources: Resources, valkey: OwnValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = CapturingLogger()
    monkeypatch.setattr(away, "log", said)
    with valkey.paused():
        for _ in range(2):
            await tracking.drain_shard(resources, 0)
    await tracking.drain_shard(resources, 0)
    assert [call.args for call in said.calls] == [("redis_away",), ("redis_back",)]
