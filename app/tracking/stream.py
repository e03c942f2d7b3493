"""A shard's stream: batches that are counted in Redis and not yet drained into Postgres."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

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
        async with redis.pipeline(transaction=True) as pipe:
            pipe.get(keys.epoch)
            pipe.get(keys.sequence)
            pipe.xrange(keys.stream, f"({after}", "+", count=limit)
            epoch, sequence, entries = await pipe.execute()
        if epoch is not None:
            return window(epoch, sequence, entries)
        # Only then: a Redis that is out of memory refuses every SET, and must be read all the same.
        await redis.set(keys.epoch, secrets.token_hex(16), nx=True)


def window(epoch: bytes, sequence: bytes | None, entries: Iterable[Any]) -> Window:
    return Window(epoch.decode(), int(sequence or 0), [_entry(id_, fields) for id_, fields in entries])


def _entry(id_: bytes, fields: Mapping[bytes, bytes]) -> Entry:
    number = fields.get(b"n", b"")
    return Entry(id_.decode(), int(number) if number.isdigit() else 0, fields.get(b"b", b""), fields.get(b"x", b""))


async def oldest(redis: Redis, shard: int) -> tuple[str | None, int]:
    """The entry that waits longest, and how many wait."""
    async with redis.pipeline(transaction=True) as pipe:
        pipe.xrange(Keys(shard).stream, count=1)
        pipe.xlen(Keys(shard).stream)
        entries, waiting = await pipe.execute()
    return (entries[0][0].decode() if entries else None), int(waiting)


async def length(redis: Redis, shard: int) -> int:
    return int(await redis.xlen(Keys(shard).stream))


async def trim(redis: Redis, shard: int, *, through: str) -> None:
    """Forget entries up to and with `through`: they are in Postgres."""
    milliseconds, _, number = through.partition("-")
    await redis.xtrim(Keys(shard).stream, minid=f"{milliseconds}-{int(number) + 1}", approximate=False)


def age_seconds(entry_id: str, now_ms: float) -> float:
    """How long ago Redis took an entry, by Redis' clock against ours."""
    return max(0.0, (now_ms - int(entry_id.partition("-")[0])) / 1000)
