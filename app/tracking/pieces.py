"""A piece of a shard's stream: read, and made into what COPY takes, while the last one is written."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from redis.asyncio import Redis
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.tracking import copies, stream
from app.tracking.columns import UNREADABLE, Columns
from app.tracking.copies import Copies
from app.tracking.stream import Entry, Window

# Below, arrays are as fast as COPY, and take fewer round trips.
LEAST_COPIED = 500
# The first piece is small, so that Postgres soon has something to do. Smaller ones cost more an event, those of 20,000
# a seventh more. With larger ones Postgres waits for the next, and in the end Python for Postgres.
FIRST_EVENTS, MOST_EVENTS = 5_000, 30_000
PIECES_AHEAD = 2
# Some 40 MB: asking Postgres whether it has a visit costs more than not to ask again.
MOST_VISITS = 200_000
# What is read at once must come over the network within the client's time-out, and keeps all of Redis meanwhile: some
# 250 bytes an event. Until entries were seen they are taken to be whole batches.
FIRST_AT_ONCE, MOST_AT_ONCE = 5_000, 16_000
BATCH_EVENTS = 1_000
SWIFT_SECONDS = 0.05


@dataclass(slots=True)
class Piece:
    """Entries behind `after`, as they were in the stream at one moment, and their rows. `unreadable`: entries to set
    aside, each with the reason; `full`: behind it there is more."""

    after: str
    window: Window
    events: int = 0
    copies: Copies | None = None
    unreadable: dict[str, str] = field(default_factory=dict)
    full: bool = False

    @property
    def entries(self) -> Sequence[Entry]:
        return self.window.entries

    def readable(self) -> Iterator[Entry]:
        return (entry for entry in self.entries if entry.id not in self.unreadable)


@dataclass(slots=True)
class Pace:
    """How many events come at once: `wanted` in a piece, `at_once` over the network, `an_entry` in one entry."""

    wanted: int = FIRST_EVENTS
    at_once: int = FIRST_AT_ONCE
    an_entry: int = BATCH_EVENTS

    def entries(self, wanted: int) -> int:
        return max(1, min(wanted, self.at_once) // self.an_entry)

    def was_slow(self, entries: int) -> None:
        self.at_once = entries * self.an_entry // 2

    def was_swift(self) -> None:
        self.at_once = min(2 * self.at_once, MOST_AT_ONCE)

    def had(self, entries: int, events: int) -> None:
        self.an_entry = max(1, events // max(1, entries))


class Ahead:
    """The next pieces of a shard, read and made while earlier ones are written, and never inside a transaction.

    Making a piece takes about as long as writing it, now more and now less: with two of them ahead neither Python nor
    Postgres waits for the other. None is begun after `until`, but the first. Each relies on all before it being stored
    as they were made: visits come once.
    """

    def __init__(self, redis: Redis, shard: int, after: str, *, until: float, pace: Pace | None = None) -> None:
        self._redis, self._shard, self._until = redis, shard, until
        self._pace = pace or Pace()
        self._visits: set[bytes] = set()
        self._coming: deque[asyncio.Task[Piece | None]] = deque()
        self.start(after)

    def start(self, after: str) -> None:
        """From here; what was read from elsewhere is forgotten."""
        self._cancel()
        self._visits = set()
        self._coming.append(asyncio.create_task(self._read(after)))

    async def take(self) -> Piece | None:
        """The next one; None where there is no more for now."""
        while len(self._coming) <= PIECES_AHEAD:
            self._coming.append(asyncio.create_task(self._follow(self._coming[-1])))
        return await self._coming.popleft()

    async def stop(self) -> None:
        await asyncio.gather(*self._cancel(), return_exceptions=True)

    def _cancel(self) -> list[asyncio.Task[Piece | None]]:
        coming = list(self._coming)
        self._coming.clear()
        for task in coming:
            task.cancel()
        return coming

    async def _read(self, after: str) -> Piece:
        return await read(self._redis, self._shard, self._pace, after=after, visits=self._visits)

    async def _follow(self, before: asyncio.Task[Piece | None]) -> Piece | None:
        piece = await before
        if piece is None or not piece.full or time.monotonic() > self._until:
            return None
        return await self._read(piece.entries[-1].id)


async def read(redis: Redis, shard: int, pace: Pace, *, after: str, visits: set[bytes] | None = None) -> Piece:
    """What is in the stream now, as far as `pace` wants it: what comes meanwhile is for the next piece.

    `visits`: those that earlier pieces have, left out of this one; its own are added.
    """
    columns = Columns()
    piece = Piece(after, await _window(redis, shard, pace, after=after, wanted=pace.wanted))
    unread, last = piece.window.entries, piece.window.sequence
    while unread:
        for entry in unread:
            await _decode(piece, columns, entry)
        pace.had(len(piece.entries), len(columns.events))
        wanted, reached = pace.wanted - len(columns.events), piece.window.last_sequence(0)
        if wanted <= 0 or reached >= last:
            piece.full = reached < last
            break
        more = await _window(redis, shard, pace, after=unread[-1].id, wanted=wanted)
        if more.epoch != piece.window.epoch or not more.follows(reached):
            break
        unread = more.entries
        piece.window.entries.extend(unread)
    if piece.full:
        pace.wanted = min(2 * pace.wanted, MOST_EVENTS)
    piece.events = len(columns.events)
    if visits is not None:
        if len(visits) > MOST_VISITS:
            visits.clear()
        columns.visits -= visits
        visits |= columns.visits
    if piece.events >= LEAST_COPIED:
        piece.copies = await copies.make(columns)
    return piece


async def _window(redis: Redis, shard: int, pace: Pace, *, after: str, wanted: int) -> Window:
    """Some entries; fewer where that many take too long to come."""
    while True:
        entries, began = pace.entries(wanted), time.monotonic()
        try:
            window = await stream.read(redis, shard, after=after, limit=entries)
        except RedisTimeoutError:
            if entries == 1:
                raise
            pace.was_slow(entries)
        else:
            if time.monotonic() - began < SWIFT_SECONDS:
                pace.was_swift()
            return window


async def _decode(piece: Piece, columns: Columns, entry: Entry) -> None:
    try:
        await columns.add(entry)
    except UNREADABLE as error:
        piece.unreadable[entry.id] = repr(error)
