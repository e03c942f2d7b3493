"""The script that records a batch, where Redis' keys were tampered with: scripts are not rolled back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from app.resources import Resources
from app.tracking import live
from app.tracking.hits import Hit
from app.tracking.keys import Keys, shard_of
from app.tracking.stream import read
from tests.factories.tracking import Link, make_hit, settle, stored

Tamper = Callable[[Redis, Keys], Any]


def put_in_place(redis: Redis, key: str, value: str) -> None:
    redis.delete(key)
    redis.set(key, value)


TAMPERED: dict[str, tuple[Tamper, str]] = {
    "no number": (lambda redis, keys: put_in_place(redis, keys.sequence, "abc"), "not an integer"),
    "the last number": (lambda redis, keys: put_in_place(redis, keys.sequence, str(2**63 - 1)), "overflow"),
    "no stream": (lambda redis, keys: put_in_place(redis, keys.stream, "abc"), "WRONGTYPE"),
    "a full stream": (
        lambda redis, keys: redis.xadd(keys.stream, {"a": "b"}, id=f"{2**64 - 1}-{2**64 - 1}"),
        "exhausted",
    ),
}


async def refusal(resources: Resources, shard: int, hit: Hit) -> str:
    try:
        return str(await live.record(resources.redis, live.make_batch(shard, [hit, hit])))
    except ResponseError as error:
        return str(error)


@pytest.mark.parametrize("name", sorted(TAMPERED))
async def test_what_no_stream_took_is_not_told_to_have_come_before(
    resources: Resources, redis: Redis, link: Link, name: str
) -> None:
    keys = Keys(shard_of(link.target.campaign_id, 2))
    tamper, fault = TAMPERED[name]
    kept = redis.get(keys.sequence)
    tamper(redis, keys)
    before = redis.get(keys.sequence)
    hit = make_hit(link, client_event_id="lost")
    faults = [await refusal(resources, keys.shard, hit) for _ in range(2)]
    after = redis.get(keys.sequence)
    redis.delete(keys.stream, keys.sequence)
    if kept is not None:
        redis.set(keys.sequence, kept)
    assert all(fault in said for said in faults), faults
    assert (after or b"0") == (before or b"0")
    assert redis.hgetall(keys.campaign(link.target.campaign_id)) == {}
    assert await live.record(resources.redis, live.make_batch(keys.shard, [hit, hit])) == [1]
    await settle(resources)
    assert sum((await stored(resources, link)).values()) == 1


async def test_what_the_counters_fail_at_is_in_the_stream(resources: Resources, redis: Redis, link: Link) -> None:
    keys = Keys(shard_of(link.target.campaign_id, 2))
    put_in_place(redis, keys.participant(link.target.participant_id), "abc")
    hit = make_hit(link, client_event_id="counted")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await live.record(resources.redis, live.make_batch(keys.shard, [hit]))
    assert hit.id in {waiting.id for waiting in (await read(resources.redis, keys.shard, after="0-0")).hits}
    assert await live.record(resources.redis, live.make_batch(keys.shard, [hit])) == [0], "it is there"
    redis.delete(keys.participant(link.target.participant_id))
    await settle(resources)
    assert sum((await stored(resources, link)).values()) == 1
