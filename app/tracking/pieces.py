"""A piece of a shard's stream, decoded straight into what COPY takes: no object an event, no value converted twice."""

from __future__ import annotations

import asyncio
import binascii
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import msgspec
from redis.asyncio import Redis

from app.tracking import stream
from app.tracking.hits import CHINA_US, DAY_US, HOUR_US, Kind, Outcome
from app.tracking.live import read_places
from app.tracking.stream import Entry, Window

MOST_EVENTS = 20_000
# A batch has at most so many; what is read at once must come over the network within the client's time-out.
BATCH_EVENTS = 1_000
MOST_ENTRIES = 64
# What an entry that is no batch of ours, or a damaged one, makes of its decoding.
UNREADABLE = (msgspec.MsgspecError, ValueError, IndexError, KeyError, struct.error, OverflowError)

VISITS = ("click", "scan")
# Postgres counts microseconds from 2000.
POSTGRES_US = 946_684_800_000_000
_HexId = Annotated[str, msgspec.Meta(min_length=32, max_length=32)]
_Ids = tuple[_HexId, _HexId, _HexId]
_Text = str | None
_Place = Annotated[int, msgspec.Meta(ge=0)]
_Hit = tuple[_HexId, _Place, Kind, Outcome, str, int, int, _Text, _Text, _Text, _Text]
_decode = msgspec.msgpack.Decoder(tuple[list[_Ids], list[_Hit]]).decode

_HEAD = struct.Struct(">hiqi16s").pack
_TARGET = struct.Struct(">i16si16si16s").pack
_INSTANT = struct.Struct(">iq").pack
_LENGTH = struct.Struct(">i").pack
_URL_SAFE = bytes.maketrans(b"-_", b"+/")


class _Texts(dict[str | None, bytes]):
    """Texts as COPY has them. Few differ: channels, agents, addresses."""

    def __missing__(self, text: str | None) -> bytes:
        encoded = b"" if text is None else text.encode()
        cell = self[text] = _LENGTH(-1 if text is None else len(encoded)) + encoded
        return cell


class _Visitors(dict[str | None, bytes]):
    def __missing__(self, visitor: str | None) -> bytes:
        decoded = b"" if visitor is None else binascii.a2b_base64(visitor.encode().translate(_URL_SAFE))
        cell = self[visitor] = _LENGTH(-1 if visitor is None else len(decoded)) + decoded
        return cell


class _Targets(dict[_Ids, bytes]):
    def __missing__(self, ids: _Ids) -> bytes:
        merchant, campaign, participant = map(bytes.fromhex, ids)
        cells = self[ids] = _TARGET(16, merchant, 16, campaign, 16, participant)
        return cells


@dataclass(slots=True)
class Columns:
    """`events`: rows of COPY; `keys`: (merchant, campaign, client's event id, received); `counts`: by (target, hour,
    channel, kind or outcome); `visits`: (target, day, visitor). Targets and visitors are cells of COPY, too."""

    events: list[bytes] = field(default_factory=list)
    keys: list[tuple[str, str, str, int]] = field(default_factory=list)
    counts: Counter[tuple[bytes, int, str, str]] = field(default_factory=Counter)
    visits: set[tuple[bytes, int, bytes]] = field(default_factory=set)
    _texts: _Texts = field(default_factory=_Texts)
    _visitors: _Visitors = field(default_factory=_Visitors)
    _targets: _Targets = field(default_factory=_Targets)

    def add(self, entry: Entry) -> None:
        """All of an entry or, where it cannot be read, nothing."""
        targets, packed = _decode(entry.packed)
        left_out = frozenset(read_places(entry.repeats))
        if left_out:
            packed = [hit for place, hit in enumerate(packed) if place not in left_out]
        texts, visitors = self._texts, self._visitors
        cells = [self._targets[ids] for ids in targets]
        events: list[bytes] = []
        counts: list[tuple[bytes, int, str, str]] = []
        visits: list[tuple[bytes, int, bytes]] = []
        head, instant, from_hex, join, null = _HEAD, _INSTANT, bytes.fromhex, b"".join, texts[None]
        for id_, place, kind, outcome, channel, occurred, received, visitor, key, address, agent in packed:
            target, seen = cells[place], visitors[visitor]
            row = (
                head(13, 8, received - POSTGRES_US, 16, from_hex(id_)),
                target,
                null if key is None else texts[key],
                texts[kind],
                texts[outcome],
                texts[channel],
                seen,
                instant(8, occurred - POSTGRES_US),
                texts[address],
                texts[agent],
            )
            events.append(join(row))
            if outcome == "human":
                counts.append((target, occurred // HOUR_US, channel, kind))
                if visitor is not None and kind in VISITS:
                    visits.append((target, (occurred + CHINA_US) // DAY_US, seen))
            else:
                counts.append((target, occurred // HOUR_US, channel, outcome))
        self.events += events
        self.counts.update(counts)
        self.visits.update(visits)
        self.keys += [(*targets[hit[1]][:2], hit[8], hit[6]) for hit in packed if hit[8]]


@dataclass(slots=True)
class Piece:
    """Entries behind `after`, as they were in the stream at one moment, and their rows. `unreadable`: entries to set
    aside, each with the reason."""

    after: str
    window: Window
    columns: Columns = field(default_factory=Columns)
    unreadable: dict[str, str] = field(default_factory=dict)
    full: bool = False

    @property
    def entries(self) -> Sequence[Entry]:
        return self.window.entries

    def readable(self) -> Iterator[Entry]:
        return (entry for entry in self.entries if entry.id not in self.unreadable)


async def read(redis: Redis, shard: int, *, after: str) -> Piece:
    """What is in the stream now, as far as it is at most `MOST_EVENTS`: what comes meanwhile is for the next piece."""
    piece = Piece(after, await stream.read(redis, shard, after=after, limit=_entries_for(MOST_EVENTS)))
    unread, last = piece.window.entries, piece.window.sequence
    while unread:
        for entry in unread:
            _decode_into(piece, entry)
            # Whoever feeds Postgres meanwhile must not starve.
            await asyncio.sleep(0)
        wanted, reached = MOST_EVENTS - len(piece.columns.events), piece.window.last_sequence(0)
        if wanted <= 0 or reached >= last:
            piece.full = wanted <= 0
            break
        more = await stream.read(redis, shard, after=unread[-1].id, limit=_entries_for(wanted))
        if more.epoch != piece.window.epoch or not more.follows(reached):
            break
        unread = more.entries
        piece.window.entries.extend(unread)
    return piece


def _entries_for(events: int) -> int:
    return max(1, min(MOST_ENTRIES, events // BATCH_EVENTS))


def _decode_into(piece: Piece, entry: Entry) -> None:
    try:
        piece.columns.add(entry)
    except UNREADABLE as error:
        piece.unreadable[entry.id] = repr(error)


class Ahead:
    """The next piece of a shard, read while the last one is written, and never inside a transaction."""

    def __init__(self, redis: Redis, shard: int, after: str) -> None:
        self._redis, self._shard = redis, shard
        self.start(after)

    def start(self, after: str) -> None:
        self._reading = asyncio.create_task(read(self._redis, self._shard, after=after))

    async def take(self) -> Piece:
        """What was begun last."""
        try:
            return await self._reading
        finally:
            await self.stop()

    async def stop(self) -> None:
        self._reading.cancel()
        await asyncio.wait([self._reading])
