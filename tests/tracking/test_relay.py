"""Two pieces on their way into Postgres at once: in order, each once, and alone again as soon as one goes wrong."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from redis import Redis
from sqlalchemy.ext.asyncio import AsyncSession

from app.resources import Resources
from app.tracking import bulk, drain, live, pieces, positions, store, stream
from app.tracking.hits import Hit
from app.tracking.keys import Keys, shard_of
from app.tracking.pieces import Piece
from app.worker import relay
from app.worker import tracking as worker
from tests.factories.locks import until_blocked
from tests.factories.tracking import Link, differences, drain_all, make_hit, settle, stored

PATIENCE = 30
# Each is copied, and the next one is there when it is.
EVENTS, PIECES = 40, 4
SAME = "the-same"


class WorkerDiedError(Exception):
    """Stands for a kill: everything after it does not happen."""


@pytest.fixture(autouse=True)
def even_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "LEAST_COPIED", EVENTS)
    monkeypatch.setattr(pieces, "MOST_EVENTS", EVENTS)
    monkeypatch.setattr(pieces, "Pace", functools.partial(pieces.Pace, wanted=EVENTS, an_entry=EVENTS))


def keys_of(link: Link) -> Keys:
    return Keys(shard_of(link.target.campaign_id, 2))


def piece(link: Link, number: int) -> list[Hit]:
    """Half of its visitors are also the next piece's."""
    return [make_hit(link, visitor=f"visitor_{(number * EVENTS + nth) // 2:07d}-") for nth in range(EVENTS)]


async def record(resources: Resources, link: Link, hits: list[Hit]) -> None:
    """Into the stream, however long Redis takes: nothing goes past it."""
    await live.record(resources.redis, live.make_batch(keys_of(link).shard, hits))


async def fill(resources: Resources, link: Link) -> None:
    for number in range(PIECES):
        await record(resources, link, piece(link, number))


async def all_is_counted(resources: Resources, redis: Redis, link: Link) -> None:
    assert (await stored(resources, link))["clicks"] == PIECES * EVENTS
    assert redis.xlen(keys_of(link).stream) == 0
    assert await differences(resources, link) == []


class Copied:
    """How many pieces were copied, and who waits for it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.number, self._copy, self._changed = 0, bulk.copy, asyncio.Condition()
        monkeypatch.setattr(bulk, "copy", self.copy)

    async def copy(self, *arguments: Any) -> None:
        await self._copy(*arguments)
        async with self._changed:
            self.number += 1
            self._changed.notify_all()

    async def until(self, number: int) -> None:
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(lambda: self.number >= number)


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> Copied:
    return Copied(monkeypatch)


def before_the_first_count(monkeypatch: pytest.MonkeyPatch, wait: Callable[[], Awaitable[Any]]) -> None:
    count, begun = bulk.count, [False]

    async def counted(session: AsyncSession) -> None:
        if not begun[0]:
            begun[0] = True
            await wait()
        await count(session)

    monkeypatch.setattr(bulk, "count", counted)


async def test_a_piece_is_copied_while_the_one_before_is_counted(
    resources: Resources, redis: Redis, link: Link, copied: Copied, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(resources, link)
    before_the_first_count(monkeypatch, lambda: copied.until(2))
    assert await drain_all(resources) == PIECES * EVENTS
    assert copied.number == PIECES
    await all_is_counted(resources, redis, link)


async def test_what_was_copied_ahead_is_not_counted_before_its_turn(
    resources: Resources, link: Link, copied: Copied, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(resources, link)

    async def look() -> None:
        await copied.until(2)
        assert await stored(resources, link) == {}

    before_the_first_count(monkeypatch, look)
    assert await drain_all(resources) == PIECES * EVENTS


async def test_a_piece_that_cannot_be_counted_takes_those_behind_it_along(
    resources: Resources, redis: Redis, link: Link, copied: Copied, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(resources, link)

    async def fail() -> None:
        await copied.until(2)
        raise asyncpg.DataError

    before_the_first_count(monkeypatch, fail)
    assert await drain_all(resources) == PIECES * EVENTS
    await all_is_counted(resources, redis, link)


async def test_one_event_in_two_pieces_is_counted_once(resources: Resources, redis: Redis, link: Link) -> None:
    for number in range(2):
        await record(resources, link, [*piece(link, number), make_hit(link, client_event_id=SAME, kind="scan")])
        redis.delete(keys_of(link).seen(link.target.campaign_id, SAME))
    await settle(resources)
    counts = await stored(resources, link)
    assert (counts["clicks"], counts["scans"]) == (2 * EVENTS, 1)
    assert await differences(resources, link) == []


async def test_who_copies_ahead_does_not_keep_a_piece_from_being_stored_one_by_one(
    resources: Resources, redis: Redis, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second waits for a key that the first has, and would have it as soon as the first is undone."""
    for number in range(2):
        await record(resources, link, [*piece(link, number), make_hit(link, client_event_id=SAME, kind="scan")])
        redis.delete(keys_of(link).seen(link.target.campaign_id, SAME))
    forever = asyncio.create_task(asyncio.Event().wait())

    async def fail() -> None:
        await until_blocked(resources, forever)
        raise asyncpg.DataError

    before_the_first_count(monkeypatch, fail)
    async with asyncio.timeout(PATIENCE):
        await settle(resources)
    forever.cancel()
    assert (await stored(resources, link))["scans"] == 1
    assert await differences(resources, link) == []


async def test_who_is_at_its_rollback_already_is_waited_for(
    resources: Resources, redis: Redis, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second fails by itself, and is cancelled while its session is closed."""
    await fill(resources, link)
    copy, close = bulk.copy, AsyncSession.close
    sessions: list[AsyncSession] = []
    closing, others_had_time = asyncio.Event(), asyncio.Event()

    async def copied(session: AsyncSession, *arguments: Any) -> None:
        await copy(session, *arguments)
        sessions.append(session)
        if len(sessions) == 2:
            raise asyncpg.DataError

    async def closed(session: AsyncSession) -> None:
        if session in sessions[1:2]:
            closing.set()
            asyncio.get_running_loop().call_later(0.2, others_had_time.set)
            await others_had_time.wait()
        await close(session)

    async def fail() -> None:
        await closing.wait()
        raise asyncpg.DataError

    before_the_first_count(monkeypatch, fail)
    monkeypatch.setattr(bulk, "copy", copied)
    monkeypatch.setattr(AsyncSession, "close", closed)
    assert await worker.drain_shard(resources, keys_of(link).shard) == PIECES * EVENTS
    await all_is_counted(resources, redis, link)


async def test_who_finds_the_shard_taken_stores_nothing(
    resources: Resources, redis: Redis, link: Link, copied: Copied, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(resources, link)
    original, asked = positions.try_lock, [0]

    async def once(*arguments: Any) -> bool:
        asked[0] += 1
        return asked[0] == 1 and await original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(positions, "try_lock", once)
        assert await worker.drain_shard(resources, keys_of(link).shard) == EVENTS
    assert copied.number >= 2
    assert (await stored(resources, link))["clicks"] == EVENTS
    assert await drain_all(resources) == (PIECES - 1) * EVENTS
    await all_is_counted(resources, redis, link)


async def test_a_piece_of_another_redis_does_not_follow(
    resources: Resources, redis: Redis, link: Link, copied: Copied, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(resources, link)
    read = pieces.read

    async def second_from_elsewhere(*arguments: Any, **given: Any) -> Piece:
        found = await read(*arguments, **given)
        if found.after != stream.START:
            found.window = replace(found.window, epoch="another")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(pieces, "read", second_from_elsewhere)
        assert await worker.drain_shard(resources, keys_of(link).shard) == EVENTS
    assert copied.number >= 2
    assert await drain_all(resources) == (PIECES - 1) * EVENTS
    await all_is_counted(resources, redis, link)


async def test_what_somebody_else_has_drained_meanwhile_is_not_said_to_be_drained_one_by_one(
    resources: Resources, redis: Redis, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(resources, link)

    async def overtake() -> None:
        raise asyncpg.UniqueViolationError

    before_the_first_count(monkeypatch, overtake)
    begin, begun, said = drain.begin, [0], []

    async def moved(session: AsyncSession, redis: Any, piece: Piece, **given: Any) -> Any:
        begun[0] += 1
        return await begin(session, redis, replace(piece, after="1-1") if begun[0] == 2 else piece, **given)

    monkeypatch.setattr(drain, "begin", moved)
    monkeypatch.setattr(relay.log, "info", lambda event, **_: said.append(event))
    assert await drain_all(resources) == PIECES * EVENTS
    assert said == []
    await all_is_counted(resources, redis, link)


async def test_a_postgres_that_does_not_answer_is_not_taken_for_redis(
    resources: Resources, redis: Redis, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(resources, link)
    async with resources.db.system() as session:
        await store.record(session, piece(link, 0))
        with monkeypatch.context() as patch:
            patch.setattr(relay, "PIECE_SECONDS", 0.5)
            with pytest.raises(relay.NotStoredError):
                await worker.drain_shard(resources, keys_of(link).shard)
        await session.rollback()
    assert await drain_all(resources) == PIECES * EVENTS
    await all_is_counted(resources, redis, link)


STEPS: list[tuple[Any, str]] = [
    (bulk, "copy"),
    (bulk, "count"),
    (positions, "announce"),
    (positions, "save"),
    (drain, "follow"),
    (drain, "finish"),
    (stream, "trim"),
]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("time", [1, 2])
@pytest.mark.parametrize(("module", "step"), STEPS, ids=[f"{module.__name__}.{name}" for module, name in STEPS])
async def test_a_worker_that_dies_with_two_pieces_on_their_way_loses_and_doubles_nothing(
    resources: Resources,
    redis: Redis,
    link: Link,
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    step: str,
    time: int,
    when: str,
) -> None:
    await fill(resources, link)
    original, begun = getattr(module, step), [0]

    async def die(*arguments: Any, **given: Any) -> Any:
        begun[0] += 1
        if begun[0] != time:
            return await original(*arguments, **given)
        if when == "after":
            await original(*arguments, **given)
        raise WorkerDiedError

    with monkeypatch.context() as patch:
        patch.setattr(module, step, die)
        with pytest.raises(WorkerDiedError):
            await drain_all(resources)
    await drain_all(resources)
    await all_is_counted(resources, redis, link)
