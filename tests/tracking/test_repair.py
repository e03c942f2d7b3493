"""Live counters are set right from the rows, exactly, while events arrive and are drained."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from redis import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.kit import clock
from app.resources import Resources
from app.tracking import fallback, live, positions, recorder, repair, store
from app.tracking.hits import HOUR_US, Hit, day_of, micros
from app.tracking.keys import Keys, shard_of
from app.worker import counters as worker
from app.worker import tracking
from tests.factories import MerchantFixture, make_campaign, make_participant
from tests.factories.tracking import (
    Link,
    differences,
    drain_all,
    link_of,
    make_hit,
    make_link,
    put_away,
    settle,
    stored,
)


@pytest.fixture
async def many(resources: Resources, merchant: MerchantFixture) -> list[Link]:
    """Participants of one campaign."""
    await put_away(resources)
    await settle(resources)
    async with resources.db.tenant(merchant.test_id) as session:
        campaign = await make_campaign(session, merchant.test_id)
        return [link_of(campaign, await make_participant(session, campaign)) for _ in range(5)]


def keys_of(link: Link) -> Keys:
    return Keys(shard_of(link.target.campaign_id, 2))


def visit(link: Link, number: int, **values: Any) -> Hit:
    return make_hit(link, visitor=f"visitor-{number % 7:08d}", channel=f"ch{number % 3}", **values)


async def repair_all(resources: Resources, link: Link) -> None:
    await worker.repair_campaign(resources, link.target.merchant_id, link.target.campaign_id)


async def test_counters_that_were_tampered_with_are_set_right(
    resources: Resources, redis: Redis, many: list[Link]
) -> None:
    await resources.tracker.record([visit(link, n) for link in many for n in range(10)])
    await drain_all(resources)
    keys, first = keys_of(many[0]), many[0].target
    redis.hincrby(keys.participant(first.participant_id), "clicks", 5)
    redis.hset(keys.participant(many[1].target.participant_id), "unique_visitors", 99)
    redis.delete(keys.participant(many[2].target.participant_id))
    redis.hincrby(keys.hours(first.campaign_id), "1|nowhere|clicks", 3)
    redis.delete(keys.campaign(first.campaign_id))
    assert await differences(resources, many[0])
    await repair_all(resources, many[0])
    assert await differences(resources, many[0]) == []


async def test_what_waits_in_the_stream_is_not_lost_by_a_repair(
    resources: Resources, redis: Redis, many: list[Link]
) -> None:
    await resources.tracker.record([visit(link, n) for link in many for n in range(10)])
    await drain_all(resources)
    await resources.tracker.record([visit(link, n, kind="scan") for link in many for n in range(3, 12)])
    before = redis.hgetall(keys_of(many[0]).campaign(many[0].target.campaign_id))
    await repair_all(resources, many[0])
    after = live.numbers(redis.hgetall(keys_of(many[0]).campaign(many[0].target.campaign_id)))  # type: ignore[arg-type]
    assert {name: n for name, n in after.items() if n} == live.numbers(before)  # type: ignore[arg-type]
    await drain_all(resources)
    assert await differences(resources, many[0]) == []


async def test_repeats_that_wait_in_the_stream_are_left_out(resources: Resources, link: Link) -> None:
    hits = [make_hit(link, client_event_id=name, visitor=name * 16) for name in "abaabc"]
    assert await resources.tracker.record(hits) == [True, True, False, False, False, True]
    await repair_all(resources, link)
    assert await differences(resources, link) == []
    await drain_all(resources)
    assert await differences(resources, link) == []


async def test_waiting_visits_of_days_long_past_are_repaired_too(
    resources: Resources, merchant: MerchantFixture
) -> None:
    """A worker that was down for days, or a test clock that was moved."""
    await settle(resources)
    link = await make_link(resources, merchant.test_id)
    ago = micros(clock.utcnow() - timedelta(days=20))
    await resources.tracker.record([make_hit(link, visitor="v" * 16, occurred_us=ago) for _ in range(3)])
    await repair_all(resources, link)
    await drain_all(resources)
    assert await differences(resources, link) == []


async def test_a_repair_is_exact_while_events_arrive_and_are_drained(
    resources: Resources, redis: Redis, many: list[Link], monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a busy machine lets go by Postgres would be owed another repair.
    monkeypatch.setattr(recorder, "REDIS_SECONDS", 30.0)
    monkeypatch.setitem(resources.redis.connection_pool.connection_kwargs, "socket_timeout", 30.0)
    stop = asyncio.Event()

    async def arrive(link: Link) -> int:
        sent = 0
        while not stop.is_set():
            await resources.tracker.record([visit(link, sent), visit(link, sent + 1, kind="scan")])
            sent += 1
        return sent

    async def drain() -> None:
        while not stop.is_set():
            await tracking.drain_streams(resources)
            await asyncio.sleep(0.005)

    running = [asyncio.create_task(arrive(link)) for link in many]
    drainer = asyncio.create_task(drain())
    for _ in range(6):
        await repair_all(resources, many[0])
    stop.set()
    sent = sum(await asyncio.gather(*running))
    await drainer
    await drain_all(resources)
    found = live.numbers(redis.hgetall(keys_of(many[0]).campaign(many[0].target.campaign_id)))  # type: ignore[arg-type]
    assert (found["clicks"], found["scans"], found["unique_visitors"]) == (sent, sent, 5 * 7)
    assert await differences(resources, many[0]) == []


async def test_live_counters_are_hidden_while_a_repair_is_owed(resources: Resources, redis: Redis, link: Link) -> None:
    await resources.tracker.record([make_hit(link)])
    await drain_all(resources)
    redis.flushall()
    await tracking.drain_streams(resources)
    assert await resources.tracker.figures.of_campaign(link.campaign_id) is None
    async with resources.db.system() as session:
        for shard in range(2):
            await repair.show_again(session, resources.redis, shard=shard, shards=2)
    assert await resources.tracker.figures.of_campaign(link.campaign_id) is None
    await settle(resources)
    async with resources.db.system() as session:
        assert (await positions.read(session, 0)).rebuilt
    assert await resources.tracker.figures.of_campaign(link.campaign_id) is not None


async def test_counters_are_shown_again_where_redis_lost_only_the_word_that_they_are_whole(
    resources: Resources, redis: Redis, link: Link
) -> None:
    """As the last word before a machine went down."""
    await resources.tracker.record([make_hit(link)])
    await settle(resources)
    redis.delete(keys_of(link).ready)
    assert await resources.tracker.figures.of_campaign(link.campaign_id) is None
    await worker.repair_counters(resources)
    assert await resources.tracker.figures.of_campaign(link.campaign_id) is not None


async def test_what_is_asked_during_a_repair_asks_for_another(resources: Resources, link: Link) -> None:
    campaigns = {(link.target.merchant_id, link.target.campaign_id)}
    async with resources.db.system() as session:
        await store.ask_repairs(session, campaigns)
    async with resources.db.system() as session:
        request = await repair.next_request(session)
    assert request is not None
    async with resources.db.system() as session:
        await store.ask_repairs(session, campaigns)
        await repair.finish(session, request)
    assert await worker.repair_counters(resources) == 1
    assert await worker.repair_counters(resources) == 0


async def test_a_redis_that_is_slow_for_a_moment_lets_no_repair_begin_anew(
    resources: Resources, many: list[Link], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repair, "PIECE", 2)
    await resources.tracker.record([visit(link, number) for number, link in enumerate(many)])
    original, slow = repair.participants, [True, False, True, True, False, False]
    began = 0

    async def now_and_then(*arguments: Any, **given: Any) -> None:
        """Done, and nobody heard of it."""
        nonlocal began
        began += 1
        await original(*arguments, **given)
        if slow.pop(0):
            raise RedisTimeoutError

    monkeypatch.setattr(repair, "participants", now_and_then)
    await tracking.drain_streams(resources)
    await repair_all(resources, many[0])
    assert (began, slow) == (6, [])
    assert await differences(resources, many[0]) == []


async def test_much_that_waits_is_drained_before_a_repair(
    resources: Resources, redis: Redis, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repair, "MOST_WAITING", 0)
    monkeypatch.setattr(repair, "MOST_BYTES_WAITING", 0)
    await resources.tracker.record([make_hit(link)])
    await repair_all(resources, link)
    assert redis.xlen(keys_of(link).stream) == 0
    assert await differences(resources, link) == []


async def test_many_small_batches_are_near_enough_for_a_repair(
    resources: Resources, redis: Redis, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = repair.MOST_WAITING + 8
    for _ in range(batches):
        await resources.tracker.record([make_hit(link)])
    await repair_all(resources, link)
    assert redis.xlen(keys_of(link).stream) == batches, "nobody waited until they were drained"
    assert await differences(resources, link) == []
    monkeypatch.setattr(repair, "MOST_ENTRIES_WAITING", batches - 1)
    assert not await repair.is_near(resources.redis, keys_of(link).shard)
    monkeypatch.setattr(repair, "MOST_ENTRIES_WAITING", batches)
    assert await repair.is_near(resources.redis, keys_of(link).shard)
    monkeypatch.setattr(repair, "MOST_BYTES_WAITING", 1_000)
    assert not await repair.is_near(resources.redis, keys_of(link).shard)


async def test_many_visitors_and_hours_are_staged_in_parts(
    resources: Resources, redis: Redis, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repair, "MOST_STAGED_AT_ONCE", 3)
    now = micros(clock.utcnow())
    hits = [
        make_hit(link, visitor=f"visitor-{n % 10:08d}", channel=f"ch{n}", occurred_us=now - n * HOUR_US)
        for n in range(20)
    ]
    await resources.tracker.record(hits)
    await drain_all(resources)
    redis.flushall()
    await settle(resources)
    assert await differences(resources, link) == []
    assert not list(redis.scan_iter("*:new"))
    # Nobody who is known counts again, and what is staged is not for ever.
    before = redis.hget(keys_of(link).participant(link.target.participant_id), "unique_visitors")
    await resources.tracker.record(hits[:5])
    assert redis.hget(keys_of(link).participant(link.target.participant_id), "unique_visitors") == before
    assert redis.ttl(keys_of(link).hours(link.target.campaign_id)) == -1


async def test_one_participants_day_is_staged_a_bounded_part_at_a_time(
    resources: Resources, redis: Redis, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is staged at once must be taken within the client's time-out, however many visitors there are."""
    monkeypatch.setattr(repair, "MOST_STAGED_AT_ONCE", 10)
    await resources.tracker.record([make_hit(link, visitor=f"visitor-{n:08d}") for n in range(105)])
    await drain_all(resources)
    original, sent = Pipeline.execute, []

    async def watched(pipe: Pipeline) -> list[Any]:
        sent.append(sum(len(command[1:]) for command, _ in pipe.command_stack if command[0] == "SADD"))
        return await original(pipe)

    monkeypatch.setattr(Pipeline, "execute", watched)
    redis.delete(keys_of(link).participant(link.target.participant_id))
    await repair_all(resources, link)
    assert await differences(resources, link) == []
    assert max(sent) <= 2 * 10
    assert sum(sent) >= 105


async def test_what_was_staged_before_and_is_left_over_is_nobody_s_visit(
    resources: Resources, redis: Redis, link: Link
) -> None:
    """Of a repair that was broken off: who is there only is not known, and counts."""
    keys, target = keys_of(link), link.target
    day = day_of(micros(clock.utcnow()))
    redis.sadd(keys.staged(keys.visitors(target.participant_id, day)), "visitor-00000001", "visitor-00000002")
    await resources.tracker.record([visit(link, 1)])
    await repair_all(resources, link)
    assert redis.hget(keys.participant(target.participant_id), "unique_visitors") == b"1"
    assert redis.scard(keys.visitors(target.participant_id, day)) == 1


async def test_what_was_staged_and_is_gone_sets_nothing(
    resources: Resources, redis: Redis, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    await resources.tracker.record([make_hit(link, visitor="v" * 16)])
    await drain_all(resources)
    monkeypatch.setattr(repair, "STAGED_SECONDS", 0)
    with pytest.raises(ResponseError, match="STAGED"):
        await repair_all(resources, link)
    assert await differences(resources, link) == []
    assert redis.exists(keys_of(link).hours(link.target.campaign_id))


async def test_a_visitor_who_comes_by_postgres_during_a_repair_counts_once(resources: Resources, link: Link) -> None:
    """Between the participants, who lack the visit, and their campaign, which has it: another repair is owed then."""
    target = link.target
    await fallback.record(resources.db, [visit(link, 1)])
    async with resources.db.system() as session:
        await repair.campaign(
            session, resources.redis, 2, merchant_id=target.merchant_id, campaign_id=target.campaign_id
        )
    await resources.tracker.record([visit(link, 2), visit(link, 2)])
    await repair_all(resources, link)
    await drain_all(resources)
    assert await differences(resources, link) == []


async def test_who_catches_up_waits_for_what_came_after_a_wipe(resources: Resources, redis: Redis, link: Link) -> None:
    await put_away(resources)
    for _ in range(3):
        await resources.tracker.record([make_hit(link)])
    await settle(resources)
    redis.flushall()
    await resources.tracker.record([make_hit(link, kind="scan")])
    assert await worker.catch_up(resources, 10)
    assert await stored(resources, link) == {"clicks": 3, "scans": 1}
    assert await differences(resources, link) == []
