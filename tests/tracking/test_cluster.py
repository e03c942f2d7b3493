"""On a Redis Cluster of three masters: a shard works where its slot is, and one master's death is not the others'."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import REGISTRY
from redis.crc import key_slot
from redis.exceptions import RedisError

from app import embedded
from app.cli import counters, doctor
from app.db.migrations import upgrade
from app.main import create_app
from app.resources import Resources, open_resources
from app.settings import Settings, get_settings
from app.tracking import clearing, store
from app.tracking.hits import Hit
from app.tracking.keys import Keys, shard_of
from app.worker import counters as counters_worker
from tests.factories import MerchantFixture
from tests.factories.cluster import Master, OwnCluster
from tests.factories.tracking import Link, differences, drain_all, make_hit, make_link, settle, stored

# The masters' shards: 2, 3, 0 with 1.
SHARDS = 4
RIGHTS = "~trk:* ~limit:* +@read +@write +@scripting +@transaction +@connection +cluster|slots +info +bgrewriteaof"


@pytest.fixture(scope="module")
def settings(stack: embedded.Stack, cluster: OwnCluster) -> Settings:
    """With a database of its own: the positions in other tests' streams are not these."""
    stack.create_database("cluster")
    upgrade(stack.url("owner", "cluster"))
    own = {
        "database_url": stack.url("app", "cluster"),
        "database_system_url": stack.url("system", "cluster"),
        "redis_url": cluster.url,
        "track_shards": SHARDS,
    }
    return get_settings().model_copy(update=own)


@pytest.fixture(scope="module")
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    application = create_app(settings)
    async with application.router.lifespan_context(application):
        yield application


@pytest.fixture(scope="module")
def resources(app: FastAPI) -> Resources:
    found: Resources = app.state.resources
    return found


@pytest.fixture
async def links(resources: Resources, merchant: MerchantFixture) -> list[Link]:
    """One of each shard, whose counters are shown."""
    found: dict[int, Link] = {}
    while len(found) < SHARDS:
        link = await make_link(resources, merchant.test_id)
        found[shard_of(link.target.campaign_id, SHARDS)] = link
    await settle(resources)
    return [found[shard] for shard in range(SHARDS)]


def master_of(cluster: OwnCluster, shard: int) -> Master:
    return cluster.owner(key_slot(Keys(shard).stream.encode()))


def visits(links: list[Link]) -> list[Hit]:
    """Three of two visitors each."""
    return [make_hit(link, visitor=f"visitor-{number % 2:08d}") for link in links for number in range(3)]


async def shown(api: httpx.AsyncClient, link: Link) -> tuple[int, int]:
    figures = (await api.get(f"/v1/campaigns/{link.campaign_id}/stats")).json()
    return figures["clicks"], figures["unique_visitors"]


def bypassed() -> list[int]:
    gauge = "invitree_tracking_breaker_open"
    return [shard for shard in range(SHARDS) if REGISTRY.get_sample_value(gauge, {"shard": str(shard)})]


async def test_every_shard_is_counted_on_its_own_master(
    api: httpx.AsyncClient, resources: Resources, cluster: OwnCluster, links: list[Link]
) -> None:
    assert await resources.tracker.record(visits(links)) == [True] * 3 * SHARDS
    assert bypassed() == []
    assert len({master_of(cluster, shard).port for shard in range(SHARDS)}) == 3
    for shard, link in enumerate(links):
        keys = master_of(cluster, shard).client.keys(f"*:*:{link.target.campaign_id.hex}")
        assert Keys(shard).campaign(link.target.campaign_id).encode() in keys
    assert [await shown(api, link) for link in links] == [(3, 2)] * SHARDS
    assert await drain_all(resources) == 3 * SHARDS
    for link in links:
        assert await stored(resources, link) == {"clicks": 3, "unique_visitors": 2}


async def test_counters_are_compared_and_rebuilt(resources: Resources, cluster: OwnCluster, links: list[Link]) -> None:
    await resources.tracker.record(visits(links))
    await settle(resources)
    for shard, link in enumerate(links):
        master_of(cluster, shard).client.hincrby(Keys(shard).campaign(link.target.campaign_id), "clicks", 5)
    found = await counters.compare(resources, merchant=None, campaign=None)
    assert {difference.campaign_id for difference in found.differences} == {link.campaign_id for link in links}
    await counters.restore(resources, merchant=None, campaign=None)
    assert (await counters.compare(resources, merchant=None, campaign=None)).differences == []


async def test_a_killed_masters_shards_go_to_postgres_and_come_back(
    http: httpx.AsyncClient, api: httpx.AsyncClient, resources: Resources, cluster: OwnCluster, links: list[Link]
) -> None:
    await resources.tracker.record(visits(links))
    await settle(resources)
    with cluster.killed(master_of(cluster, 3)):
        assert await resources.tracker.record(visits(links)) == [True] * 3 * SHARDS
        assert bypassed() == [3]
        assert (await http.get("/readyz")).json()["redis"] == "away"
        assert await stored(resources, links[3]) == {"clicks": 6, "unique_visitors": 2}
        assert [await shown(api, link) for link in links] == [(6, 2)] * SHARDS
        # The living ones' streams are drained meanwhile, and their counters repaired, whoever waits longer.
        assert await drain_all(resources) == 3 * (SHARDS - 1)
        await spoil(resources, cluster, links[0])
        assert await counters_worker.repair_counters(resources) == 1
        assert await shown(api, links[0]) == (6, 2)
    await used_again(resources)
    assert (await http.get("/readyz")).json()["redis"] == "ok"
    await resources.tracker.record(visits(links))
    assert bypassed() == []
    await settle(resources)
    assert [await shown(api, link) for link in links] == [(9, 2)] * SHARDS
    for link in links:
        assert await stored(resources, link) == {"clicks": 9, "unique_visitors": 2}
        assert await differences(resources, link) == []


async def test_a_slot_on_its_way_is_bypassed_and_followed(
    api: httpx.AsyncClient, resources: Resources, cluster: OwnCluster, links: list[Link]
) -> None:
    link, slot = links[2], key_slot(Keys(2).stream.encode())
    source, target = master_of(cluster, 2), master_of(cluster, 3)
    await resources.tracker.record(visits([link]))
    await settle(resources)
    target.ask("SETSLOT", slot, "IMPORTING", source.id)
    source.ask("SETSLOT", slot, "MIGRATING", target.id)
    assert await resources.tracker.record(visits([link])) == [True] * 3
    assert bypassed() == [2]
    while keys := source.ask("GETKEYSINSLOT", slot, 100):
        source.client.migrate("127.0.0.1", target.port, keys, 0, 5_000)
    for master in (target, source):
        master.ask("SETSLOT", slot, "NODE", target.id)
    await used_again(resources)
    assert await resources.tracker.record(visits([link])) == [True] * 3
    assert bypassed() == []
    await settle(resources)
    assert target.client.exists(Keys(2).campaign(link.target.campaign_id))
    assert await stored(resources, link) == {"clicks": 9, "unique_visitors": 2}
    assert await shown(api, link) == (9, 2)


async def spoil(resources: Resources, cluster: OwnCluster, link: Link) -> None:
    """A counter that is wrong, and known to be."""
    keys = Keys(shard_of(link.target.campaign_id, SHARDS))
    assert master_of(cluster, keys.shard).client.hincrby(keys.campaign(link.target.campaign_id), "clicks", 5)
    async with resources.db.system() as session:
        await store.ask_repairs(session, [(link.target.merchant_id, link.target.campaign_id)])


async def used_again(resources: Resources) -> None:
    """The probes of the shards that are bypassed have come through."""
    await asyncio.gather(*(probe for recorder in resources.tracker._recorders if (probe := recorder._probe)))


async def test_limits_are_counted_wherever_their_keys_are(app: FastAPI, http: httpx.AsyncClient) -> None:
    left = []
    for address in ("10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.1"):
        transport = httpx.ASGITransport(app, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url="https://t.invitree.cn") as client:
            answer = await client.post("/v1/merchants", json={})
        left.append(answer.headers["ratelimit"].partition(";t=")[0])
    quota = get_settings().registrations_per_hour
    assert left == [f'"registration";r={quota - used}' for used in (1, 1, 1, 2)]


async def test_doctor_examines_every_master(resources: Resources, cluster: OwnCluster) -> None:
    cluster.masters[1].client.config_set("maxmemory-policy", "allkeys-lru")
    findings = await doctor.check_redis(resources)
    cluster.masters[1].client.config_set("maxmemory-policy", "noeviction")
    ports = sorted(master.port for master in cluster.masters)
    faults = [(finding.check, finding.found) for finding in findings if not finding.ok]
    assert sorted(faults) == [
        (f"Redis evicts nothing (127.0.0.1:{cluster.masters[1].port})", "maxmemory-policy allkeys-lru"),
        *((f"Redis keeps an append-only file (127.0.0.1:{port})", "appendonly no") for port in ports),
    ]
    assert findings[-1].check.startswith(f"TRACK_SHARDS={SHARDS} are spread")
    assert all(f"127.0.0.1:{port}: " in findings[-1].found for port in ports)


async def test_a_user_with_the_rights_of_the_manual_is_enough(
    settings: Settings, resources: Resources, cluster: OwnCluster, links: list[Link]
) -> None:
    for master in cluster.masters:
        master.command("ACL", "SETUSER", "invitree", "on", ">geheim", *RIGHTS.split())
    url = cluster.url.replace("://", "://invitree:geheim@")
    async with open_resources(settings.model_copy(update={"redis_url": url})) as own:
        assert await own.tracker.record(visits(links)) == [True] * 3 * SHARDS
        assert not any(recorder.bypasses_redis for recorder in own.tracker._recorders)
        await settle(own)
        await counters.restore(own, merchant=None, campaign=None)
        assert len(await doctor.check_redis(own)) == 3 * len(cluster.masters) + 2
        await clearing.clear(own.redis, tell=lambda _: None)
        await settle(own)
    for link in links:
        assert await differences(resources, link) == []


async def test_a_command_without_a_key_is_refused(resources: Resources) -> None:
    with pytest.raises(RedisError, match="INFO names no key"):
        await resources.redis.info("server")
