"""A client of a Redis Cluster follows its masters: one is replaced, one stands still, one is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack

import pytest
from redis.asyncio import Redis
from redis.crc import key_slot
from redis.exceptions import ClusterDownError, RedisError

from app.db.redis import connect_redis, master_of, masters
from tests.factories.cluster import PATIENCE, Master, OwnCluster, own_cluster, until

KEYS = [f"{{s{shard}}}:key" for shard in range(8)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[OwnCluster]:
    with own_cluster() as found:
        yield found


@pytest.fixture
async def client(cluster: OwnCluster) -> AsyncIterator[Redis]:
    found = connect_redis(cluster.url)
    for key in KEYS:
        await found.set(key, "kept")
    yield found
    await found.aclose()


def owner(cluster: OwnCluster, key: str) -> Master:
    return cluster.owner(key_slot(key.encode()))


async def answer(client: Redis, key: str) -> bytes | str | None:
    """The first that comes: a master may tell for a moment who had the slot before."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                found = await client.get(key)
            except (RedisError, OSError):
                await asyncio.sleep(0.02)
            else:
                return found


async def test_callers_of_other_masters_do_not_wait_for_one_that_stands_still(
    cluster: OwnCluster, client: Redis
) -> None:
    still = owner(cluster, KEYS[0])
    others = [key for key in KEYS if owner(cluster, key) is not still]
    with still.server.paused():
        for _ in range(2):  # the second time it is a suspect, and the others are asked about it
            waiting = asyncio.ensure_future(client.get(KEYS[0]))
            answers = await asyncio.gather(*(client.get(key) for key in others))
            assert not waiting.done()
            assert set(answers) == {b"kept"}
            with pytest.raises((RedisError, OSError)):
                await waiting
    assert await client.get(KEYS[0]) == b"kept"


async def test_a_callers_own_time_out_makes_a_suspect_too(cluster: OwnCluster, client: Redis) -> None:
    still = owner(cluster, KEYS[0])
    with still.server.paused():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.get(KEYS[0])
        # Known by the others, which are asked.
        assert len(await masters(client)) == 3
    assert await client.get(KEYS[0]) == b"kept"


async def test_a_replica_that_took_its_masters_place_is_found(cluster: OwnCluster, client: Redis) -> None:
    old = owner(cluster, KEYS[2])
    with ExitStack() as cleanup:
        replica = cluster.add_replica(cleanup, old)
        # By the connection that waits: it waits for its own writes only.
        old.client.set(KEYS[2], "new")
        assert old.client.wait(1, 5_000) == 1
        old.server.stop()
        with pytest.raises((RedisError, OSError)):
            await client.get(KEYS[2])
        replica.ask("FAILOVER", "TAKEOVER")
        until(lambda: all(each.holds_for_master(replica) for each in cluster.masters if each is not old))
        assert await answer(client, KEYS[2]) == b"new"
        assert await master_of(client, KEYS[2]) == f"127.0.0.1:{replica.port}"
        async with client.pipeline(transaction=True) as pipe:
            pipe.append(KEYS[2], "er")
            pipe.get(KEYS[2])
            assert await pipe.execute() == [5, b"newer"]
        # As it was before: the old one comes back as a replica of the new one, and takes its place again.
        old.server.start()
        until(old.is_synced)
        old.ask("FAILOVER", "TAKEOVER")
        until(lambda: all(each.holds_for_master(old) for each in (*cluster.masters, replica)))
        assert await client.get(KEYS[2]) == b"newer"
        for master in cluster.masters:
            master.ask("FORGET", replica.id)
    cluster.wait()


async def test_a_seed_that_is_no_more_is_passed_over(cluster: OwnCluster) -> None:
    client = connect_redis(cluster.url.replace("cluster://", "cluster://127.0.0.1:1,"))
    assert await client.ping()
    assert await client.get(KEYS[0]) == b"kept"
    await client.aclose()


async def test_where_no_node_answers_the_error_says_so() -> None:
    client = connect_redis("redis+cluster://127.0.0.1:1,127.0.0.1:2")
    with pytest.raises(RedisError, match="No node of the Redis Cluster says"):
        await client.get("key")
    await client.aclose()


async def test_a_slot_that_nobody_has_is_an_error_until_somebody_has_it(cluster: OwnCluster) -> None:
    slot = key_slot(b"{nobody}")
    for each in cluster.masters:
        each.ask("DELSLOTS", slot)
    other = connect_redis(cluster.url)
    with pytest.raises(ClusterDownError):
        await other.get("{nobody}")
    cluster.owner(slot).ask("ADDSLOTS", slot)
    cluster.wait()
    assert await other.get("{nobody}") is None
    await other.aclose()
