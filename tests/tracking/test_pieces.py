"""A shard's stream piece by piece: where each ends, and how many are made ahead of the one that is written."""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.resources import Resources
from app.tracking import pieces, stream
from app.tracking.hits import Hit
from app.tracking.keys import shard_of
from app.tracking.pieces import PIECES_AHEAD, Ahead, Pace, Piece
from app.tracking.stream import Window
from app.worker import tracking as worker
from tests.factories.tracking import Link, differences, drain_all, make_hit


def link_shard(link: Link) -> int:
    return shard_of(link.target.campaign_id, 2)


def hits(link: Link, count: int) -> list[Hit]:
    return [make_hit(link, visitor=f"visitor_{number:07d}-") for number in range(count)]


async def test_a_piece_ends_where_the_stream_ended_or_is_full(resources: Resources, link: Link) -> None:
    for _ in range(9):
        await resources.tracker.record(hits(link, 10))
    shard = link_shard(link)
    piece = await pieces.read(resources.redis, shard, Pace(), after="0-0")
    assert (len(piece.entries), piece.events, piece.full) == (9, 90, False)
    pace = Pace(wanted=20, an_entry=10)
    first = await pieces.read(resources.redis, shard, pace, after="0-0")
    second = await pieces.read(resources.redis, shard, pace, after=first.entries[-1].id)
    assert [(len(piece.entries), piece.full) for piece in (first, second)] == [(2, True), (4, True)]
    assert await worker.drain_shard(resources, shard) == 90


async def test_a_read_that_takes_too_long_is_halved_and_goes_on(
    resources: Resources, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(9):
        await resources.tracker.record(hits(link, 3))
    asked: list[int] = []
    original = stream.read

    async def slow(*arguments: Any, limit: int, **given: Any) -> Window:
        asked.append(limit)
        if limit > 2:
            raise RedisTimeoutError
        return await original(*arguments, limit=limit, **given)

    monkeypatch.setattr(stream, "read", slow)
    piece = await pieces.read(resources.redis, link_shard(link), Pace(at_once=30, an_entry=3), after="0-0")
    assert (len(piece.entries), piece.full) == (9, False)
    assert asked[:3] == [10, 5, 2]


async def test_a_redis_that_answers_no_single_entry_in_time_is_away(
    resources: Resources, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(*_: Any, **__: Any) -> Window:
        raise RedisTimeoutError

    await resources.tracker.record(hits(link, 3))
    with monkeypatch.context() as patch:
        patch.setattr(stream, "read", silent)
        assert await worker.drain_shard(resources, link_shard(link)) == 0
    assert await drain_all(resources) == 3


@asynccontextmanager
async def ahead_of(resources: Resources, link: Link, *, until: float = math.inf) -> AsyncIterator[Ahead]:
    """Pieces of an entry, of two, four and so on."""
    pace = Pace(wanted=3, an_entry=3)
    ahead = Ahead(resources.redis, link_shard(link), stream.START, until=until, pace=pace)
    try:
        yield ahead
    finally:
        await ahead.stop()


async def taken(ahead: Ahead) -> list[int]:
    """How many entries each piece has, until there is none."""
    found: list[Piece] = []
    while piece := await ahead.take():
        assert not found or piece.after == found[-1].entries[-1].id
        found.append(piece)
    return [len(piece.entries) for piece in found]


async def test_pieces_follow_each_other_to_the_end_of_the_stream(resources: Resources, link: Link) -> None:
    for _ in range(9):
        await resources.tracker.record(hits(link, 3))
    async with ahead_of(resources, link) as ahead:
        assert await taken(ahead) == [1, 2, 4, 2]
        assert await ahead.take() is None
    async with ahead_of(resources, link, until=0.0) as ahead:
        assert await taken(ahead) == [1]
    assert await drain_all(resources) == 27


async def test_few_pieces_are_made_ahead(resources: Resources, link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(40):
        await resources.tracker.record(hits(link, 3))
    made: list[Piece] = []
    original, enough = pieces.read, asyncio.Event()

    async def watched(*arguments: Any, **given: Any) -> Piece:
        made.append(await original(*arguments, **given))
        if len(made) == 1 + PIECES_AHEAD:
            enough.set()
        return made[-1]

    monkeypatch.setattr(pieces, "read", watched)
    async with ahead_of(resources, link) as ahead:
        first = await ahead.take()
        await enough.wait()
        for _ in range(20):  # whoever would read on has its turn now
            await resources.redis.ping()
        assert made[0] is first
        assert len(made) == 1 + PIECES_AHEAD
    assert await drain_all(resources) == 120


async def test_what_was_made_from_elsewhere_is_forgotten(resources: Resources, link: Link) -> None:
    for _ in range(9):
        await resources.tracker.record(hits(link, 3))
    async with ahead_of(resources, link) as ahead:
        first = await ahead.take()
        assert first is not None
        ahead.start(stream.START)
        again = await ahead.take()
        assert again is not None
        assert again.entries[0] == first.entries[0]
    assert await drain_all(resources) == 27


async def test_a_visit_comes_with_the_first_piece_that_has_it(resources: Resources, link: Link) -> None:
    for _ in range(5):
        await resources.tracker.record(hits(link, 600))
    read = functools.partial(pieces.read, resources.redis, link_shard(link))
    visits: set[bytes] = set()
    first = await read(Pace(wanted=600, an_entry=600), after=stream.START, visits=visits)
    rest = await read(Pace(), after=first.entries[-1].id, visits=visits)
    made = [piece.copies for piece in (first, rest)]
    assert [(copies.events, sum(map(len, copies.visitors)) > 0) for copies in made if copies] == [
        (600, True),
        (2_400, False),
    ]
    assert await drain_all(resources) == 3_000
    assert await differences(resources, link) == []


async def test_a_redis_that_goes_away_is_told_behind_what_was_read(
    resources: Resources, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(9):
        await resources.tracker.record(hits(link, 3))
    original = stream.read

    async def once(*arguments: Any, **given: Any) -> Window:
        if given["after"] != stream.START:
            raise RedisTimeoutError
        return await original(*arguments, **given)

    with monkeypatch.context() as patch:
        patch.setattr(stream, "read", once)
        async with ahead_of(resources, link) as ahead:
            piece = await ahead.take()
            assert piece is not None
            assert len(piece.entries) == 1
            with pytest.raises(RedisTimeoutError):
                await ahead.take()
    assert await drain_all(resources) == 27


async def test_a_turn_ends_in_time_where_its_pieces_are_made_anew(
    resources: Resources, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(9):
        await resources.tracker.record(hits(link, 3))
    # So few events are never stored as they were made.
    monkeypatch.setattr(pieces, "Pace", functools.partial(Pace, wanted=3, an_entry=3))
    monkeypatch.setattr(worker, "TURN_SECONDS", 0.0)
    monkeypatch.setattr(worker, "ROUND_SECONDS", 0.0)
    assert await worker.drain_shard(resources, link_shard(link)) == 3
    assert await drain_all(resources) == 24
    assert await differences(resources, link) == []
