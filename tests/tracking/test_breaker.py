"""Whatever Redis does instead of taking a batch, Postgres has the same hits once, and Redis is used again."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from prometheus_client import REGISTRY
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import (
    BusyLoadingError,
    InvalidResponse,
    NoScriptError,
    ReadOnlyError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.db.session import Database
from app.kit import clock
from app.resources import Resources, connect_redis
from app.tracking import fallback, live, recorder
from app.tracking.hits import Hit, micros
from app.tracking.keys import Keys, shard_of
from app.tracking.recorder import Recorder
from tests.factories.tracking import Link, OwnValkey, differences, drain_all, make_hit, settle, stored

Script = Callable[..., Awaitable[Any]]


class OddRedis:
    """Runs scripts, or answers some first calls in its own way, having run them or not."""

    def __init__(self, inner: AsyncRedis, odd: int, reply: Any, *, runs: bool = False) -> None:
        self.inner, self.odd, self.reply, self.runs = inner, odd, reply, runs

    async def evalsha(self, *arguments: Any) -> Any:
        return await self._answer(self.inner.evalsha, arguments)

    async def eval(self, *arguments: Any) -> Any:
        return await self._answer(self.inner.eval, arguments)

    async def _answer(self, script: Script, arguments: tuple[Any, ...]) -> Any:
        self.odd -= 1
        if self.odd < 0:
            return await script(*arguments)
        if self.runs:
            await script(*arguments)
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply


def keys_of(link: Link) -> Keys:
    return Keys(shard_of(link.target.campaign_id, 2))


def recorder_on(resources: Resources, redis: Any, link: Link) -> Recorder:
    return Recorder(resources.db, redis, keys_of(link).shard)


def shown(redis: Redis, link: Link) -> dict[str, int]:
    found = live.numbers(redis.hgetall(keys_of(link).campaign(link.target.campaign_id)))  # type: ignore[arg-type]
    return {name: number for name, number in found.items() if number}


def sample(name: str, link: Link) -> float:
    found = REGISTRY.get_sample_value(f"invitree_tracking_{name}", {"shard": str(keys_of(link).shard)})
    return found or 0.0


def a_few(link: Link) -> list[Hit]:
    return [make_hit(link, visitor="v" * 16), *(make_hit(link, client_event_id="a") for _ in range(2))]


@pytest.fixture(autouse=True)
def quick_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "PROBE_SECONDS", 0.02)


async def closed(breaker: Recorder) -> None:
    assert breaker._probe is not None
    await breaker._probe
    assert not breaker.bypasses_redis


ODD: dict[str, Any] = {
    "no script": NoScriptError("NOSCRIPT No matching script."),
    "read-only": ReadOnlyError("You can't write against a read only replica."),
    "loading": BusyLoadingError("LOADING"),
    "busy": ResponseError("BUSY Redis is busy running a script."),
    "misconf": ResponseError("MISCONF Errors writing to the AOF file."),
    "garbage": InvalidResponse("Protocol Error: b'HTTP/1.1 400'"),
    "nothing": None,
    "a number": 1,
    "text": b"OK",
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("runs", [False, True], ids=["not recorded", "recorded"])
async def test_an_answer_that_is_none_sends_the_same_events_to_postgres(
    resources: Resources, redis: Redis, link: Link, name: str, runs: bool
) -> None:
    odd = OddRedis(resources.redis, 4, ODD[name], runs=runs)
    breaker = recorder_on(resources, odd, link)
    before = sample("bypasses_total", link)
    assert await breaker.record(a_few(link)) == [True, True, False]
    assert sample("bypasses_total", link) == before + 1
    await closed(breaker)
    assert sample("breaker_open", link) == 0
    await settle(resources)
    assert await stored(resources, link) == {"clicks": 2, "unique_visitors": 1}
    assert shown(redis, link) == {"clicks": 2, "unique_visitors": 1}


@pytest.mark.parametrize(
    ("lost", "bypasses"), [(1, False), (2, True)], ids=["the retry is answered", "the fallback has it, too"]
)
async def test_a_lost_reply_counts_nothing_twice(
    resources: Resources, redis: Redis, link: Link, lost: int, bypasses: bool
) -> None:
    breaker = recorder_on(resources, OddRedis(resources.redis, lost, RedisConnectionError(), runs=True), link)
    assert await breaker.record(a_few(link)) == [True, True, False]
    assert (breaker._probe is not None) is bypasses
    await breaker.close()
    await settle(resources)
    assert await stored(resources, link) == {"clicks": 2, "unique_visitors": 1}
    assert shown(redis, link) == {"clicks": 2, "unique_visitors": 1}


async def test_what_did_not_answer_in_time_is_not_asked_again(
    resources: Resources, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "PROBE_SECONDS", 60)
    odd = OddRedis(resources.redis, 1, RedisTimeoutError())
    breaker = recorder_on(resources, odd, link)
    await breaker.record([make_hit(link)])
    assert odd.odd == 0
    await breaker.close()
    assert await stored(resources, link) == {"clicks": 1}


async def test_a_paused_redis_costs_one_time_out(resources: Resources, valkey: OwnValkey, link: Link) -> None:
    own = connect_redis(valkey.url)
    breaker = recorder_on(resources, own, link)
    await breaker.record(a_few(link))
    with valkey.paused():
        started = time.perf_counter()
        await breaker.record([make_hit(link)])
        first = time.perf_counter() - started
        again = time.perf_counter()
        await breaker.record([make_hit(link)])
        assert time.perf_counter() - again < first
    await closed(breaker)
    await settle(resources)
    assert await differences(resources, link) == []
    await own.aclose()


async def test_an_event_that_redis_had_after_all_is_new_however_the_drain_comes(
    resources: Resources, redis: Redis, link: Link
) -> None:
    """Drained before the fallback, at the same time, and after it."""
    for times in range(3):
        hits = [make_hit(link, client_event_id=f"{times}"), make_hit(link, visitor="v" * 16)]
        await live.record(resources.redis, live.make_batch(keys_of(link).shard, hits))
        breaker = recorder_on(resources, OddRedis(resources.redis, 2, RedisConnectionError()), link)
        if times == 0:
            await drain_all(resources)
        drains = [drain_all(resources)] if times == 1 else []
        new, *_ = await asyncio.gather(breaker.record(hits), *drains)
        # Beside a drain that has not committed yet its own event looks like one that came before.
        assert new == [True, True] or times == 1
        await breaker.close()
    await settle(resources)
    assert await stored(resources, link) == {"clicks": 6, "unique_visitors": 1}
    assert shown(redis, link) == {"clicks": 6, "unique_visitors": 1}


async def test_two_batches_of_the_same_events_in_another_order_are_both_answered(
    resources: Resources, link: Link
) -> None:
    """Several processes bypass Redis at once; whatever their batches share, neither waits for the other in a circle."""
    now = micros(clock.utcnow())
    hits = [
        make_hit(link, channel=channel, visitor=f"visitor-{n % 5:08d}", client_event_id=f"{n}", occurred_us=now)
        for n, channel in enumerate(("a-b", "ab", "a_c", "b", "a.a") * 20)
    ]
    new = await asyncio.gather(
        fallback.record(resources.db, hits),
        fallback.record(resources.db, hits[::-1]),
        *(fallback.record(resources.db, [make_hit(link, channel=hit.channel) for hit in hits]) for _ in range(3)),
    )
    assert sum(map(sum, new)) >= 100 + 300
    assert await stored(resources, link) == {"clicks": 100 + 300, "unique_visitors": 5}


async def test_a_postgres_that_breaks_off_is_asked_again(
    resources: Resources, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, broken = fallback.record, iter([True, False])

    async def breaks_once(db: Database, hits: Sequence[Hit]) -> list[bool]:
        new = await record(db, hits)
        if next(broken):
            raise ConnectionResetError
        return new

    monkeypatch.setattr(fallback, "record", breaks_once)
    breaker = recorder_on(resources, OddRedis(resources.redis, 2, RedisConnectionError()), link)
    assert await breaker.record(a_few(link)) == [True, True, False]
    await breaker.close()
    assert await stored(resources, link) == {"clicks": 2, "unique_visitors": 1}


async def test_a_full_redis_that_answers_ping_is_not_used(resources: Resources, redis: Redis, link: Link) -> None:
    breaker = recorder_on(resources, resources.redis, link)
    redis.config_set("maxmemory", "1mb")
    try:
        await breaker.record([make_hit(link)])
        assert await resources.redis.ping()
        assert not await breaker._takes_batches()
        assert sample("breaker_open", link) == 1
    finally:
        redis.config_set("maxmemory", "0")
    assert await breaker._takes_batches()
    await closed(breaker)


async def test_a_key_of_a_wrong_type_loses_nothing_and_is_set_right(
    resources: Resources, redis: Redis, link: Link
) -> None:
    keys, target = keys_of(link), link.target
    for key in (keys.campaign(target.campaign_id), keys.hours(target.campaign_id)):
        redis.set(key, "nonsense")
    redis.set(keys.participant(target.participant_id), "nonsense")
    breaker = recorder_on(resources, resources.redis, link)
    assert await breaker.record(a_few(link)) == [True, True, False]
    await closed(breaker)
    await settle(resources)
    assert await stored(resources, link) == {"clicks": 2, "unique_visitors": 1}
    assert await differences(resources, link) == []


async def test_the_pause_grows_while_redis_takes_probes_but_no_batch(
    resources: Resources, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "LONGEST_PAUSE_SECONDS", 0.02 * 2**5)
    breaker = recorder_on(resources, resources.redis, link)
    pauses = []
    for _ in range(7):
        breaker._bypass(ResponseError(), began=math.inf)
        pauses.append(breaker._pause)
        await breaker.close()
        breaker._used_again_at = time.monotonic()
    assert pauses == [0.02 * 2 ** min(n, 5) for n in range(7)]
    breaker._used_again_at -= recorder.STEADY_SECONDS + 1
    breaker._bypass(ResponseError(), began=math.inf)
    assert breaker._pause == recorder.PROBE_SECONDS
    await breaker.close()
