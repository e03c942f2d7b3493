"""From Redis into Postgres: each event once, wherever a worker dies, however many run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import text

from app.kit import clock
from app.resources import Resources, open_resources
from app.settings import Settings
from app.tracking import drain, live, positions, rules, store, stream
from app.tracking.hits import day_of, micros
from app.tracking.keys import Keys, shard_of
from app.worker import tracking as worker
from tests.factories.tracking import Link, drain_all, make_hit, settle, stored

HOURS = text(
    "SELECT hour, channel, clicks, scans FROM participant_totals WHERE campaign_id = :campaign ORDER BY hour, channel"
)


class WorkerDiedError(Exception):
    """Stands for a kill: everything after it does not happen."""


def visits(link: Link, count: int, **values: Any) -> list[Any]:
    """Of `count` visitors each a click and a scan."""
    named = [f"visitor-{number:08d}"[:16] for number in range(count)]
    return [make_hit(link, visitor=name, kind=kind, **values) for name in named for kind in ("click", "scan")]


async def test_a_drained_event_has_its_row_rollup_and_visitor(resources: Resources, link: Link) -> None:
    await resources.tracker.record(visits(link, 3))
    assert await drain_all(resources) == 6
    assert await stored(resources, link) == {"clicks": 3, "scans": 3, "unique_visitors": 3}
    assert await drain_all(resources) == 0


async def test_the_stream_is_empty_when_all_is_drained(resources: Resources, redis: Redis, link: Link) -> None:
    await resources.tracker.record(visits(link, 3))
    await drain_all(resources)
    assert redis.xlen(Keys(shard_of(link.target.campaign_id, 2)).stream) == 0


STEPS: list[tuple[Any, str]] = [
    (positions, "try_lock"),
    (positions, "read"),
    (stream, "read"),
    (store, "_unseen"),
    (store, "_count"),
    (store, "record"),
    (positions, "save"),
    (drain, "begin"),
    (drain, "finish"),
    (stream, "trim"),
]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("module", "step"), STEPS, ids=[f"{module.__name__}.{name}" for module, name in STEPS])
async def test_a_worker_that_dies_at_any_step_loses_and_doubles_nothing(
    resources: Resources, redis: Redis, link: Link, monkeypatch: pytest.MonkeyPatch, module: Any, step: str, when: str
) -> None:
    events = [*visits(link, 5), *(make_hit(link, client_event_id=f"{link.code}-{n}") for n in range(3))]
    await resources.tracker.record(events)
    with monkeypatch.context() as patch:
        patch.setattr(module, step, dying(getattr(module, step), when))
        with pytest.raises(WorkerDiedError):
            await drain_all(resources)
    await drain_all(resources)
    assert await stored(resources, link) == {"clicks": 8, "scans": 5, "unique_visitors": 5}
    # What is drained and still lies there would keep repairs waiting.
    assert redis.xlen(Keys(shard_of(link.target.campaign_id, 2)).stream) == 0


def dying(step: Callable[..., Any], when: str) -> Callable[..., Any]:
    async def die(*args: Any, **kwargs: Any) -> Any:
        if when == "after":
            await step(*args, **kwargs)
        raise WorkerDiedError

    return die


async def test_two_workers_at_once_store_each_event_once(resources: Resources, settings: Settings, link: Link) -> None:
    async with open_resources(settings) as other:
        for _ in range(20):
            await resources.tracker.record(visits(link, 5))
            await asyncio.gather(*(worker.drain_streams(one) for one in (resources, other, resources, other)))
        await drain_all(resources)
    assert await stored(resources, link) == {"clicks": 100, "scans": 100, "unique_visitors": 5}


async def test_two_workers_do_not_take_one_shard(resources: Resources, link: Link) -> None:
    shard = shard_of(link.target.campaign_id, 2)
    await resources.tracker.record(visits(link, 1))
    async with resources.db.system() as session:
        await positions.lock(session, shard)
        assert await worker.drain_shard(resources, shard) == 0
    assert await worker.drain_shard(resources, shard) == 2


async def test_late_events_count_in_their_own_hour_and_channel(resources: Resources, link: Link) -> None:
    now = clock.utcnow()
    ago = now - timedelta(hours=5)
    await resources.tracker.record(
        [
            make_hit(link, channel="moments"),
            make_hit(link, channel="moments", occurred_us=micros(ago)),
            make_hit(link, channel="chat", occurred_us=micros(ago)),
            make_hit(link, channel="chat", occurred_us=micros(ago), kind="scan"),
        ]
    )
    await drain_all(resources)
    async with resources.db.system() as session:
        found = (await session.execute(HOURS, {"campaign": link.target.campaign_id})).all()
    earlier, this = (instant.replace(minute=0, second=0, microsecond=0) for instant in (ago, now))
    assert [tuple(row) for row in found] == [
        (earlier, "chat", 1, 1),
        (earlier, "moments", 1, 0),
        (this, "moments", 1, 0),
    ]


async def test_a_clients_event_id_outlives_the_last_repeat_that_is_taken(
    resources: Resources, redis: Redis, link: Link
) -> None:
    await resources.tracker.record([make_hit(link, client_event_id="ahead")])
    campaign_id = link.target.campaign_id
    key = Keys(shard_of(campaign_id, 2)).seen(campaign_id, "ahead")
    assert redis.ttl(key) > (rules.DEDUPE_HORIZON + rules.CLOCK_TOLERANCE).total_seconds()


async def test_a_repeat_that_redis_has_forgotten_counts_nothing(resources: Resources, redis: Redis, link: Link) -> None:
    keys = Keys(shard_of(link.target.campaign_id, 2))
    await resources.tracker.record([make_hit(link, client_event_id="once", visitor="a" * 16)])
    await drain_all(resources)
    redis.delete(keys.seen(link.target.campaign_id, "once"))
    assert await resources.tracker.record([make_hit(link, client_event_id="once", visitor="b" * 16)]) == [True]
    # Redis counted it a second time; the drain notices, and the repair takes it back.
    assert redis.hget(keys.campaign(link.target.campaign_id), "clicks") == b"2"
    await settle(resources)
    assert await stored(resources, link) == {"clicks": 1, "unique_visitors": 1}
    found = live.numbers(redis.hgetall(keys.participant(link.target.participant_id)))  # type: ignore[arg-type]
    assert {name: number for name, number in found.items() if number} == {"clicks": 1, "unique_visitors": 1}
    assert redis.hget(keys.campaign(link.target.campaign_id), "clicks") == b"1"
    day = day_of(micros(clock.utcnow()))
    assert redis.smembers(keys.visitors(link.target.participant_id, day)) == {b"a" * 16}
