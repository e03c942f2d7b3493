"""Many events at once go by COPY; what is there already, or fits no table, is told apart."""

from __future__ import annotations

import asyncio
import functools
from datetime import timedelta
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit import clock
from app.resources import Resources
from app.tracking import bulk, live, pieces, store
from app.tracking.copies import Copies
from app.tracking.hits import Hit, micros
from app.tracking.keys import Keys, shard_of
from app.tracking.stream import Entry, Window
from app.worker import tracking as worker
from tests.factories.locks import until_blocked
from tests.factories.tracking import Link, differences, drain_all, make_hit, settle, stored

SET_ASIDE = text("SELECT count(*) FROM set_aside_entries WHERE shard = :shard")
END_WAITING = text("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted")
PATIENCE = 10
ROWS = text("SELECT * FROM tracked_events WHERE campaign_id = :campaign ORDER BY id")


def many(link: Link, count: int = pieces.LEAST_COPIED, **values: Any) -> list[Hit]:
    """Of a third as many visitors, in some channels, some late."""
    now = clock.utcnow()
    return [
        make_hit(
            link,
            visitor=f"visitor_{number % (count // 3):07d}-",
            channel=f"ch_{number % 4}-ä",
            occurred_us=micros(now - timedelta(hours=number % 30)),
            kind=("click", "scan", "view", "share")[number % 4],
            outcome=("human", "human", "bot", "late")[number % 4 if number % 7 else 0],
            address="10.0.0.1" if number % 2 else None,
            user_agent="微信" if number % 3 else None,
            **values,
        )
        for number in range(count)
    ]


def keys_of(link: Link) -> Keys:
    return Keys(shard_of(link.target.campaign_id, 2))


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each piece that went by COPY whether that was taken."""
    done: list[bool] = []
    places: dict[AsyncSession, int] = {}
    copy, count = bulk.copy, bulk.count

    async def copied(session: AsyncSession, copies: Copies) -> None:
        places[session] = len(done)
        done.append(False)
        await copy(session, copies)

    async def counted(session: AsyncSession) -> None:
        await count(session)
        done[places[session]] = True

    monkeypatch.setattr(bulk, "copy", copied)
    monkeypatch.setattr(bulk, "count", counted)
    return done


async def rows_of(resources: Resources, link: Link) -> list[tuple[Any, ...]]:
    async with resources.db.system() as session:
        return [tuple(row) for row in await session.execute(ROWS, {"campaign": link.target.campaign_id})]


async def test_copied_rows_and_rollups_are_those_of_the_other_way(
    resources: Resources, link: Link, copied: list[bool]
) -> None:
    hits = many(link)
    hits += [make_hit(link, client_event_id=f"{link.code}-{number}") for number in range(20)]
    async with resources.db.system() as session:
        await store.record(session, hits)
        wanted = list(await session.execute(ROWS, {"campaign": link.target.campaign_id}))
        sums = await stored(resources, link)
        await session.rollback()
    await resources.tracker.record(hits)
    assert await drain_all(resources) == len(hits)
    assert copied == [True]
    assert await rows_of(resources, link) == [tuple(row) for row in wanted]
    assert sums == {}
    assert await differences(resources, link) == []


async def test_further_pieces_add_to_the_same_rollups(resources: Resources, link: Link, copied: list[bool]) -> None:
    for count in (1, 2):
        await resources.tracker.record(many(link))
        await drain_all(resources)
        counts = await stored(resources, link)
        assert sum(counts.values()) - counts["unique_visitors"] == count * pieces.LEAST_COPIED
    assert copied == [True, True]
    assert await differences(resources, link) == []


async def test_what_also_came_by_the_fallback_is_counted_once(
    resources: Resources, link: Link, copied: list[bool]
) -> None:
    hits = many(link)
    async with resources.db.system() as session:
        assert len(await store.record(session, hits[100:200])) == 100
    await resources.tracker.record(hits)
    await settle(resources)
    assert copied == [False]
    assert sum((await stored(resources, link)).values()) > 0
    assert len(await rows_of(resources, link)) == len(hits)
    assert await differences(resources, link) == []


async def test_a_clients_event_id_that_came_by_another_way_is_counted_once(
    resources: Resources, link: Link, copied: list[bool]
) -> None:
    async with resources.db.system() as session:
        await store.record(session, [make_hit(link, client_event_id="the-same")])
    await resources.tracker.record([*many(link), make_hit(link, client_event_id="the-same")])
    await settle(resources)
    assert copied == [False]
    assert len(await rows_of(resources, link)) == pieces.LEAST_COPIED + 1
    assert await differences(resources, link) == []


async def test_rollups_that_somebody_else_begins_meanwhile_get_both_parts(
    resources: Resources, link: Link, copied: list[bool]
) -> None:
    hits = many(link)
    await resources.tracker.record(hits)
    async with resources.db.system() as session:
        others = [make_hit(link, visitor=hits[0].visitor, channel=hits[0].channel, occurred_us=hits[0].occurred_us)]
        await store.record(session, others)
        drained = asyncio.create_task(drain_all(resources))
        await until_blocked(resources, drained)
    assert await drained == len(hits)
    assert copied == [True]
    counts = await stored(resources, link)
    assert sum(counts.values()) - counts["unique_visitors"] == len(hits) + 1


async def test_a_copy_whose_session_is_ended_while_much_is_to_be_sent_is_over_at_once(
    resources: Resources, link: Link
) -> None:
    hits = [make_hit(link, user_agent="a" * 500) for _ in range(5_000)]
    for first in range(0, len(hits), 1_000):
        await live.record(resources.redis, live.make_batch(keys_of(link).shard, hits[first : first + 1_000]))
    async with resources.db.system() as session:
        await store.record(session, hits[:1])
        drained = asyncio.create_task(drain_all(resources))
        await until_blocked(resources, drained)
        await session.execute(END_WAITING)
        await asyncio.wait([drained], timeout=PATIENCE)
        assert isinstance(drained.exception(), DBAPIError)
    await settle(resources)
    assert await stored(resources, link) == {"clicks": len(hits)}


@pytest.mark.parametrize(
    "fields",
    [
        {"n": "1", "b": b"\xc1 no message", "x": b""},
        {"n": "1", "b": b"\x92\x90\x91\x01", "x": b""},
        {"some": "thing"},
    ],
    ids=["damaged", "of another shape", "not ours"],
)
async def test_an_entry_that_cannot_be_read_is_set_aside(
    resources: Resources, redis: Redis, link: Link, fields: dict[str, Any]
) -> None:
    keys = keys_of(link)
    await resources.tracker.record([make_hit(link)])
    if "n" in fields:
        fields = fields | {"n": redis.incr(keys.sequence)}
    redis.xadd(keys.stream, fields)  # type: ignore[arg-type]
    await resources.tracker.record([make_hit(link)])
    before = await set_aside(resources, keys.shard)
    await settle(resources)
    assert await set_aside(resources, keys.shard) == before + 1
    assert await stored(resources, link) == {"clicks": 2}
    assert redis.xlen(keys.stream) == 0
    assert await differences(resources, link) == []


async def set_aside(resources: Resources, shard: int) -> Any:
    async with resources.db.system() as session:
        return await session.scalar(SET_ASIDE, {"shard": shard})


@pytest.mark.parametrize("count", [5, pieces.LEAST_COPIED])
async def test_an_entry_that_no_table_takes_is_set_aside(resources: Resources, link: Link, count: int) -> None:
    await resources.tracker.record(many(link, count))
    await resources.tracker.record([make_hit(link, channel="c" * 99)])
    await resources.tracker.record([make_hit(link, user_agent="\0")])
    await resources.tracker.record([make_hit(link)])
    shard = keys_of(link).shard
    before = await set_aside(resources, shard)
    await settle(resources)
    assert await set_aside(resources, shard) == before + 2
    assert len(await rows_of(resources, link)) == count + 1
    assert await differences(resources, link) == []


async def test_visits_of_what_no_table_takes_count_with_the_next_piece(
    resources: Resources, link: Link, copied: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = functools.partial(pieces.Ahead, pace=pieces.Pace(wanted=600, an_entry=600))
    monkeypatch.setattr(worker, "Ahead", few)
    names = [f"spoilt_{number:08d}-" for number in range(60)]
    await resources.tracker.record(many(link, 580))
    await resources.tracker.record([make_hit(link, visitor=name, user_agent="\0") for name in names])
    await resources.tracker.record([*many(link, 600), *(make_hit(link, visitor=name) for name in names)])
    before = await set_aside(resources, keys_of(link).shard)
    await settle(resources)
    assert copied == [False, True]
    assert await set_aside(resources, keys_of(link).shard) == before + 1
    assert await differences(resources, link) == []


async def test_a_redis_without_memory_is_drained(resources: Resources, redis: Redis, link: Link) -> None:
    await resources.tracker.record(many(link))
    redis.config_set("maxmemory", 1)
    try:
        assert await drain_all(resources) == pieces.LEAST_COPIED
        assert redis.xlen(keys_of(link).stream) == 0
    finally:
        redis.config_set("maxmemory", 0)


def test_what_is_not_ours_leaves_no_gap() -> None:
    foreign, ours = Entry("1-0", 0, b""), Entry("2-0", 8, b"")
    assert Window("e", 8, [foreign, ours]).follows(7)
    assert not Window("e", 8, [foreign, ours]).follows(6)
    assert Window("e", 8, [ours, foreign]).last_sequence(7) == 8
    assert Window("e", 8, [foreign]).last_sequence(7) == 7
