"""Redis stopped, paused, full, wiped, set back: links lead on, nothing acknowledged is lost, nothing counts twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY
from redis import Redis
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit import clock
from app.kit.errors import Unavailable
from app.resources import Resources, open_resources
from app.settings import Settings
from app.tracking import intake, links, live, queries
from app.tracking.hits import micros
from app.tracking.items import EventIn, EventOut
from app.tracking.keys import Keys, shard_of
from app.tracking.links import Visit
from app.tracking.tracker import Tracker
from tests.factories.tracking import WECHAT, Link, OwnValkey, make_hit, settle, stored

EVENT = {"type": "click", "channel": "app"}


@contextmanager
def out_of_memory(redis: Redis) -> Iterator[None]:
    redis.config_set("maxmemory", "1mb")
    try:
        yield
    finally:
        redis.config_set("maxmemory", "0")


@pytest.fixture
async def tracker(resources: Resources) -> AsyncIterator[Tracker]:
    """The application's, when it uses Redis again at the end."""
    yield resources.tracker
    await back(resources)


async def back(resources: Resources) -> None:
    probes = [recorder._probe for recorder in resources.tracker._recorders if recorder._probe is not None]
    await asyncio.gather(*probes)


async def open_link(http: httpx.AsyncClient, link: Link) -> str:
    http.cookies.clear()
    answer = await http.get(link.path, headers={"User-Agent": WECHAT})
    assert answer.status_code == 302, answer.text
    return answer.headers["event-id"]


def keys_of(link: Link) -> Keys:
    return Keys(shard_of(link.target.campaign_id, 2))


def shown(redis: Redis, link: Link) -> dict[str, int]:
    found = live.numbers(redis.hgetall(keys_of(link).campaign(link.target.campaign_id)))  # type: ignore[arg-type]
    return {name: number for name, number in found.items() if number}


async def counted(api: httpx.AsyncClient, link: Link) -> tuple[int, int]:
    found = (await api.get(f"/v1/campaigns/{link.campaign_id}/stats")).json()
    return found["clicks"], found["unique_visitors"]


async def test_while_redis_is_stopped_events_go_to_postgres(
    http: httpx.AsyncClient,
    api: httpx.AsyncClient,
    resources: Resources,
    tracker: Tracker,
    valkey: OwnValkey,
    link: Link,
) -> None:
    await open_link(http, link)
    await settle(resources)
    with valkey.stopped():
        assert await open_link(http, link)
        sent = [EVENT | {"event_id": name, "invite_code": link.code, "visitor_id": "app"} for name in "aab"]
        answer = await api.post("/v1/events", json=sent)
        assert [item["status"] for item in answer.json()["data"]] == ["accepted", "duplicate", "accepted"]
        assert await counted(api, link) == (4, 2)
    await back(resources)
    await open_link(http, link)
    await settle(resources)
    assert await stored(resources, link) == {"clicks": 5, "unique_visitors": 2}
    assert await counted(api, link) == (5, 2)


async def test_a_paused_redis_delays_one_batch_and_no_more(
    http: httpx.AsyncClient, resources: Resources, tracker: Tracker, valkey: OwnValkey, redis: Redis, link: Link
) -> None:
    with valkey.paused():
        await asyncio.gather(*(open_link(http, link) for _ in range(20)))
        started = time.perf_counter()
        await open_link(http, link)
        assert time.perf_counter() - started < 0.25
    await back(resources)
    # What the paused one had already been sent, it may count now: the drain knows these ids from Postgres.
    await settle(resources)
    assert await stored(resources, link) == {"clicks": 21, "unique_visitors": 1}
    assert shown(redis, link) == {"clicks": 21, "unique_visitors": 1}


async def test_a_full_redis_is_bypassed(
    http: httpx.AsyncClient, resources: Resources, tracker: Tracker, redis: Redis, link: Link
) -> None:
    with out_of_memory(redis):
        event_ids = {await open_link(http, link) for _ in range(3)}
    await settle(resources)
    assert len(event_ids) == 3
    assert await stored(resources, link) == {"clicks": 3, "unique_visitors": 1}
    assert shown(redis, link) == {"clicks": 3, "unique_visitors": 1}


async def open_once_and_thrice_past_redis(
    http: httpx.AsyncClient, resources: Resources, redis: Redis, link: Link
) -> None:
    """Redis has one of four clicks; the other three are repaired later."""
    await open_link(http, link)
    await settle(resources)
    with out_of_memory(redis):
        for _ in range(3):
            await open_link(http, link)
    await back(resources)


async def test_what_came_past_redis_is_shown_before_it_is_repaired(
    http: httpx.AsyncClient, api: httpx.AsyncClient, resources: Resources, tracker: Tracker, redis: Redis, link: Link
) -> None:
    await open_once_and_thrice_past_redis(http, resources, redis, link)
    assert shown(redis, link) == {"clicks": 1, "unique_visitors": 1}
    assert await counted(api, link) == (4, 1)
    own = (await api.get(f"/v1/participants/{link.participant_id}/stats")).json()
    series = (await api.get(f"/v1/campaigns/{link.campaign_id}/timeseries?interval=hour")).json()
    assert (own["clicks"], sum(point["clicks"] for point in series["data"])) == (4, 4)
    # What Postgres lacks is no less: it waits in the stream.
    for _ in range(4):
        await open_link(http, link)
    assert await counted(api, link) == (5, 1)
    await settle(resources)
    assert await counted(api, link) == (8, 1)


@pytest.mark.parametrize("of", ["campaign", "participant"])
async def test_figures_never_fall_while_a_repair_ends(
    http: httpx.AsyncClient,
    api: httpx.AsyncClient,
    resources: Resources,
    tracker: Tracker,
    redis: Redis,
    link: Link,
    monkeypatch: pytest.MonkeyPatch,
    of: str,
) -> None:
    await open_once_and_thrice_past_redis(http, resources, redis, link)
    original = queries.is_repair_owed

    async def is_owed(session: AsyncSession, **own: Any) -> bool:
        """Until this very moment."""
        await settle(resources)
        return await original(session, **own)

    monkeypatch.setattr(queries, "is_repair_owed", is_owed)
    found = (await api.get(f"/v1/{of}s/{getattr(link, f'{of}_id')}/stats")).json()
    assert (found["clicks"], found["unique_visitors"]) == (4, 1)


async def test_where_no_store_takes_a_click_the_friend_is_led_on_and_the_loss_is_counted(
    settings: Settings, tracker: Tracker, valkey: OwnValkey, link: Link
) -> None:
    lost = metric("lost")
    async with open_resources(without_postgres(settings)) as away:
        away.tracker.codes = tracker.codes
        with valkey.stopped():
            opened, event_id = await links.open_link(away.tracker, a_visit(link), now_us=micros(clock.utcnow()))
    assert opened.location == f"/h5/c/{link.campaign_id}?code={link.code}"
    assert event_id is None
    assert metric("lost") == lost + 1


async def test_where_no_store_takes_events_they_are_to_be_sent_again(
    settings: Settings, tracker: Tracker, valkey: OwnValkey, link: Link
) -> None:
    received_us = micros(clock.utcnow())
    event = EventIn(event_id="a", type="click", invite_code=link.code)
    async with open_resources(without_postgres(settings)) as away:
        away.tracker.codes = tracker.codes
        with valkey.stopped(), pytest.raises(Unavailable, match="events_not_recorded") as raised:
            await intake.take(away.tracker, [event], merchant_id=link.merchant_id, received_us=received_us)
    assert raised.value.retry_after


async def test_with_postgres_away_known_codes_are_taken_and_the_others_are_to_be_sent_again(
    api: httpx.AsyncClient, settings: Settings, tracker: Tracker, link: Link
) -> None:
    known, other = (EventIn(event_id=code, type="click", invite_code=code) for code in (link.code, "22222222"))
    bad = EventIn(event_id="bad", type="click", invite_code="no code")
    await tracker.codes.find(link.code)
    async with open_resources(without_postgres(settings)) as away:
        away.tracker.codes._known = tracker.codes._known
        answers = await take(away, link, known, other, bad)
        # A batch of which nothing can be said is refused as a whole: there is nothing to leave out of the next one.
        for nothing_known in ([other], [other, other]):
            with pytest.raises(ConnectionRefusedError):
                await take(away, link, *nothing_known)
        assert (await take(away, link, other, bad))[0].status == "rejected"
    assert [(answer.status, answer.code) for answer in answers] == [
        ("accepted", None),
        ("rejected", "temporarily_unavailable"),
        ("rejected", "invite_code_unknown"),
    ]
    assert await counted(api, link) == (1, 0)


async def take(resources: Resources, link: Link, *events: EventIn) -> list[EventOut]:
    now_us = micros(clock.utcnow())
    return await intake.take(resources.tracker, events, merchant_id=link.merchant_id, received_us=now_us)


def without_postgres(settings: Settings) -> Settings:
    nowhere = "postgresql://nobody:x@127.0.0.1:1/nothing"
    return settings.model_copy(update={"database_url": nowhere, "database_system_url": nowhere})


def a_visit(link: Link) -> Visit:
    return Visit(link.code, is_scan=False, is_bot=False, channel=None, cookie=None, address="::1", user_agent=WECHAT)


def metric(name: str) -> float:
    return REGISTRY.get_sample_value(f"invitree_tracking_{name}_total") or 0.0


async def test_a_batch_sent_twice_gives_its_first_answer_again(resources: Resources, redis: Redis, link: Link) -> None:
    hits = [make_hit(link, client_event_id=name) for name in "aba"]
    batch = live.make_batch(keys_of(link).shard, hits)
    assert [await live.record(resources.redis, batch) for _ in range(3)] == [[2]] * 3
    assert shown(redis, link) == {"clicks": 2}


async def test_a_wiped_redis_is_noticed_and_rebuilt(
    http: httpx.AsyncClient, api: httpx.AsyncClient, resources: Resources, redis: Redis, link: Link
) -> None:
    for _ in range(3):
        await open_link(http, link)
    await settle(resources)
    redis.flushall()
    # The rows are shown until the live counters are whole again, also when new events have come meanwhile.
    assert await counted(api, link) == (3, 1)
    await open_link(http, link)
    assert shown(redis, link) == {"clicks": 1, "unique_visitors": 1}
    assert await counted(api, link) == (3, 1)
    await settle(resources)
    assert shown(redis, link) == {"clicks": 4, "unique_visitors": 1}
    # The day's visitors are known again as well.
    await open_link(http, link)
    assert await counted(api, link) == (5, 1)


async def test_what_a_wipe_takes_is_the_undrained_rest_and_it_is_said(
    http: httpx.AsyncClient, resources: Resources, redis: Redis, link: Link
) -> None:
    said = metric("history_lost")
    await open_link(http, link)
    await settle(resources)
    await open_link(http, link)
    redis.flushall()
    await open_link(http, link)
    await settle(resources)
    assert await stored(resources, link) == {"clicks": 2, "unique_visitors": 1}
    assert shown(redis, link) == {"clicks": 2, "unique_visitors": 1}
    assert metric("history_lost") > said


async def test_a_redis_that_came_back_older_is_noticed(
    http: httpx.AsyncClient, resources: Resources, redis: Redis, link: Link
) -> None:
    """As after a power cut: the last second of the append-only file is gone, but drained already."""
    await open_link(http, link)
    snapshot: dict[bytes, bytes] = {key: redis.dump(key) for key in redis.scan_iter()}  # type: ignore[misc]
    await open_link(http, link)
    await settle(resources)
    redis.flushall()
    for key, value in snapshot.items():
        redis.restore(key, 0, value)
    await open_link(http, link)
    assert shown(redis, link)["clicks"] == 2
    await settle(resources)
    assert await stored(resources, link) == {"clicks": 3, "unique_visitors": 1}
    assert shown(redis, link) == {"clicks": 3, "unique_visitors": 1}


async def test_a_gap_in_the_stream_is_noticed(
    http: httpx.AsyncClient, resources: Resources, redis: Redis, link: Link
) -> None:
    await open_link(http, link)
    redis.xtrim(keys_of(link).stream, maxlen=0, approximate=False)
    await open_link(http, link)
    await settle(resources)
    # What is gone is gone; the counters say what Postgres has.
    assert await stored(resources, link) == {"clicks": 1, "unique_visitors": 1}
    assert shown(redis, link) == {"clicks": 1, "unique_visitors": 1}
