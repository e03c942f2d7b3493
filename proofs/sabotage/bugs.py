"""Bugs such as one might write, each of which some proof must find."""

from __future__ import annotations

import asyncio
import functools
import re
import secrets
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from uuid_utils.compat import uuid7

from app.db.session import Database
from app.settings import get_settings
from app.tracking import codes, fallback, lua, positions, store, stream
from proofs.sabotage import named
from proofs.sabotage.seams import replace

FALLBACK = "app.tracking.fallback:record"
# Handed on from one patched call to another, and tasks that nobody else keeps: patches have no other place.
_redis: list[Any] = []
_tasks: set[asyncio.Task[Any]] = set()


def _instead(place: str, make: Callable[[Any], Any]) -> None:
    replace(place, lambda original: functools.wraps(original)(make(original)))


@named("ack-before-redis")
def _() -> None:
    """A buffer that is written behind the answers' back."""

    async def later(original: Any, *args: Any) -> None:
        await asyncio.sleep(0.4)
        await original(*args)

    def make(original: Any) -> Any:
        async def record(self: Any, hits: Sequence[Any]) -> list[bool]:
            task = asyncio.create_task(later(original, self, list(hits)))
            _tasks.add(task)
            task.add_done_callback(_tasks.discard)
            return [True] * len(hits)

        return record

    _instead("app.tracking.recorder:Recorder.record", make)


@named("count-without-dedupe")
def _() -> None:
    """Redis does not know a client's event again."""
    _instead(
        "app.tracking.keys:Keys.seen",
        lambda seen: lambda self, campaign, name: seen(self, campaign, name + "?" + secrets.token_hex(8)),
    )


@named("trim-before-commit")
def _() -> None:
    def remember(read: Any) -> Any:
        async def patched(redis: Any, *args: Any, **kwargs: Any) -> Any:
            _redis[:] = [redis]
            return await read(redis, *args, **kwargs)

        return patched

    def trim_first(save: Any) -> Any:
        async def patched(session: Any, shard: int, position: Any) -> None:
            await stream.trim(_redis[0], shard, through=position.position)
            await save(session, shard, position)

        return patched

    _instead("app.tracking.stream:read", remember)
    _instead("app.tracking.positions:save", trim_first)


@named("position-outside-transaction")
def _() -> None:
    def make(save: Any) -> Any:
        async def patched(_session: Any, shard: int, position: Any) -> None:
            db = Database.from_settings(get_settings())
            async with db.system() as own:
                await save(own, shard, position)
            await db.close()

        return patched

    _instead("app.tracking.positions:save", make)


@named("unsorted-batch")
def _() -> None:
    """Rivals lock the same rows, each in an order of its own."""
    spoilt, count = re.subn(
        r"ORDER BY merchant_id, participant_id, hour, channel[^\n]*", "ORDER BY random()", fallback._RECORD
    )
    assert count == 1
    fallback._RECORD = spoilt


@named("fallback-new-id")
def _() -> None:
    def make(record: Any) -> Any:
        async def patched(db: Any, hits: Sequence[Any]) -> list[bool]:
            renamed = [msgspec.structs.replace(hit, id=uuid7()) for hit in hits]
            found: list[bool] = await record(db, renamed)
            return found

        return patched

    _instead(FALLBACK, make)


@named("breaker-drops")
def _() -> None:
    def make(_record: Any) -> Any:
        async def patched(_db: Any, hits: Sequence[Any]) -> list[bool]:
            return [True] * len(hits)

        return patched

    _instead(FALLBACK, make)


@named("guard-forgotten")
def _() -> None:
    """A batch whose answer was lost counts again when it is sent again."""
    guard = "if done then"
    assert guard in lua.RECORD.text
    lua.RECORD = lua.Script(lua.RECORD.text.replace(guard, "if false then"))


@named("rollup-from-all-rows")
def _() -> None:
    """What was stored before is added to the rollups once more."""

    def make(record: Any) -> Any:
        async def patched(session: Any, hits: Sequence[Any]) -> list[Any]:
            new: list[Any] = await record(session, hits)
            known = {hit.id for hit in new}
            await store._count(session, [hit for hit in hits if hit.id not in known])
            return new

        return patched

    _instead("app.tracking.store:record", make)


@named("unknown-codes-for-ever")
def _() -> None:
    codes.UNKNOWN_SECONDS = 1e9


@named("deaf-to-changes")
def _() -> None:
    _instead("app.tracking.codes:CodeCache.forget", lambda _forget: lambda _self, _subject_id: None)


@named("position-forgotten")
def _() -> None:
    """Every drain begins at the start of the stream, and nothing is trimmed."""

    async def read(_session: Any, _shard: int) -> Any:
        return positions.Position()

    _instead("app.tracking.positions:read", lambda _read: read)
