"""A shard's stream: batches that are counted in Redis and not yet drained into Postgres."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError

from app.tracking import lua
from app.tracking.hits import Hit, unpack
from app.tracking.keys import Keys
from app.tracking.live import read_places

START = "0-0"


@dataclass(frozen=True, slots=True)
class Entry:
    """One batch, still packed; `sequence` counts the shard's entries without gaps, and is 0 for what is no batch."""

    id: str
    sequence: int
    packed: bytes
    repeats: bytes = b""

    def hits(self) -> list[Hit]:
        return unpack(self.packed, without=read_places(self.repeats))


@dataclass(frozen=True, slots=True)
class Window:
    """What was in the stream at one moment: `sequence` is the last entry's, whether or not it is still there."""

    epoch: str
    sequence: int
    entries: list[Entry]

    def follows(self, sequence: int) -> bool:
        """Whether nothing is missing between entry `sequence` and these."""
        if not self.entries:
            return self.sequence == sequence
        return next((entry.sequence - 1 == sequence for entry in self.entries if entry.sequence), True)

    def last_sequence(self, before: int) -> int:
        return next((entry.sequence for entry in reversed(self.entries) if entry.sequence), before)

    @property
    def hits(self) -> list[Hit]:
        return [hit for entry in self.entries for hit in entry.hits()]


async def read(redis: Redis, shard: int, *, after: str, limit: int | None = None) -> Window:
    """Entries behind `after`. A Redis without an epoch is given one: it is new, or was wiped."""
    keys = Keys(shard)
    while True:
        try:
            epoch, sequence, entries = await _read(redis, keys, after, limit)
        except OutOfMemoryError:
            # Redis 7.0 then refuses every command of a transaction. It must be drained all the same.
            epoch, sequence, entries = await _read_by_script(redis, keys, after, limit)
        if epoch is not None:
            return window(epoch, sequence, entries)
        # Only then, because one without memory refuses every SET.
        await redis.set(keys.epoch, secrets.token_hex(16), nx=True)


async def _read(redis: Redis, keys: Keys, after: str, limit: int | None) -> list[Any]:
    async with redis.pipeline(transaction=True) as pipe:
        pipe.get(keys.epoch)
        pipe.get(keys.sequence)
        pipe.xrange(keys.stream, f"({after}", "+", count=limit)
        return list(await pipe.execute())


async def _read_by_script(redis: Redis, keys: Keys, after: str, limit: int | None) -> list[Any]:
    """The same, and some 10 ms of everybody's time for 2 MB."""
    names = (keys.epoch, keys.sequence, keys.stream)
    epoch, sequence, entries = await lua.READ.run(redis, names, (after, limit or ""))
    return [epoch, sequence, [(id_, _pairs(fields)) for id_, fields in entries]]


def window(epoch: bytes, sequence: bytes | None, entries: Iterable[Any]) -> Window:
    return Window(epoch.decode(), int(sequence or 0), [_entry(id_, fields) for id_, fields in entries])


def _pairs(fields: Sequence[bytes]) -> dict[bytes, bytes]:
    return dict(zip(fields[::2], fields[1::2], strict=True))


def _entry(id_: bytes, fields: Mapping[bytes, bytes]) -> Entry:
    number = fields.get(b"n", b"")
    return Entry(id_.decode(), int(number) if number.isdigit() else 0, fields.get(b"b", b""), fields.get(b"x", b""))


async def oldest(redis: Redis, shard: int) -> tuple[str | None, int]:
    """The entry that waits longest, and how many wait."""
    entries: Any = await redis.xrange(Keys(shard).stream, count=1)
    return (entries[0][0].decode() if entries else None), await length(redis, shard)


async def length(redis: Redis, shard: int) -> int:
    return int(await redis.xlen(Keys(shard).stream))


async def trim(redis: Redis, shard: int, *, through: str) -> None:
    """Forget entries up to and with `through`: they are in Postgres."""
    milliseconds, _, number = through.partition("-")
    await redis.xtrim(Keys(shard).stream, minid=f"{milliseconds}-{int(number) + 1}", approximate=False)


def age_seconds(entry_id: str, now_ms: float) -> float:
    """How long ago Redis took an entry, by Redis' clock against ours."""
    return max(0.0, (now_ms - int(entry_id.partition("-")[0])) / 1000)
