"""Entries of a stream decoded straight into rows of COPY: no object an event, no value converted twice."""

from __future__ import annotations

import asyncio
import binascii
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec

from app.tracking.hits import CHINA_US, DAY_US, HOUR_US, Kind, Outcome
from app.tracking.live import read_places
from app.tracking.stream import Entry

# What an entry that is no batch of ours, or a damaged one, makes of its decoding.
UNREADABLE = (msgspec.MsgspecError, ValueError, IndexError, KeyError, struct.error, OverflowError)
# So many at once: whoever feeds Postgres meanwhile waits for a millisecond at the most.
SLICE = 250

VISITS = ("click", "scan")
# Postgres counts microseconds from 2000.
POSTGRES_US = 946_684_800_000_000
POSTGRES_DAY = POSTGRES_US // DAY_US
_HexId = Annotated[str, msgspec.Meta(min_length=32, max_length=32)]
_Visitor = Annotated[str, msgspec.Meta(min_length=16, max_length=16)] | None
_Ids = tuple[_HexId, _HexId, _HexId]
_Text = str | None
_Place = Annotated[int, msgspec.Meta(ge=0)]
_Hit = tuple[_HexId, _Place, Kind, Outcome, str, int, int, _Visitor, _Text, _Text, _Text]
_decode = msgspec.msgpack.Decoder(tuple[list[_Ids], list[_Hit]]).decode

_LENGTH = struct.Struct(">i").pack
_INSTANT = struct.Struct(">iq").pack
_DAY = struct.Struct(">ii").pack
_TARGET = struct.Struct(">i16si16si16s").pack
_EVENT_COLUMNS, _VISIT_COLUMNS = struct.pack(">h", 13), struct.pack(">h", 5)
_ID_FOLLOWS, _VISITOR_FOLLOWS, _NULL = _LENGTH(16), _LENGTH(12), _LENGTH(-1)
_split_ids, _split_visitors = struct.Struct("16s").iter_unpack, struct.Struct("12s").iter_unpack
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_NOBODY = "A" * 16
# Kind, outcome, channel.
_WORDS = 3


def cell(text: str) -> bytes:
    """A text as COPY has it."""
    encoded = text.encode()
    return _LENGTH(len(encoded)) + encoded


class _Lengths(dict[int, bytes]):
    """Few differ."""

    def __missing__(self, length: int) -> bytes:
        found = self[length] = _LENGTH(length)
        return found


class _Whats(dict[str, Any]):
    """Cells of kind, outcome and channel, which are neighbours in a row: looked up one after the other, which costs
    half of looking up the three at once. `known` says what each is of."""

    def __init__(self, known: dict[bytes, tuple[str, ...]], *before: str) -> None:
        self.known, self._before = known, before

    def __missing__(self, word: str) -> Any:
        words = (*self._before, word)
        found: Any = _Whats(self.known, *words)
        if len(words) == _WORDS:
            found = b"".join(map(cell, words))
            self.known[found] = words
        self[word] = found
        return found


class _Days(dict[int, bytes]):
    """China's day of an hour since 1970."""

    def __missing__(self, hour: int) -> bytes:
        day = self[hour] = _DAY(4, (hour * HOUR_US + CHINA_US) // DAY_US - POSTGRES_DAY)
        return day


class _Targets(dict[_Ids, bytes]):
    """In the order of the rollups' primary keys, so that rows can be sorted as they are."""

    def __missing__(self, ids: _Ids) -> bytes:
        merchant, campaign, participant = map(bytes.fromhex, ids)
        cells = self[ids] = _TARGET(16, merchant, 16, participant, 16, campaign)
        return cells


@dataclass(slots=True)
class Columns:
    """`events`, `visits`: rows of COPY; `keys`: (merchant, campaign, client's event id, received); `counts`: by
    (target, hour, what), all but the hour as cells; `meanings`: each what's kind, outcome and channel."""

    events: list[bytes] = field(default_factory=list)
    visits: set[bytes] = field(default_factory=set)
    keys: list[tuple[str, str, str, int]] = field(default_factory=list)
    counts: Counter[tuple[bytes, int, bytes]] = field(default_factory=Counter)
    meanings: dict[bytes, tuple[str, ...]] = field(default_factory=dict)
    _whats: _Whats = field(init=False)
    _lengths: _Lengths = field(default_factory=_Lengths)
    _days: _Days = field(default_factory=_Days)
    _targets: _Targets = field(default_factory=_Targets)

    def __post_init__(self) -> None:
        self._whats = _Whats(self.meanings)

    async def add(self, entry: Entry) -> None:
        """All of an entry or, where it cannot be read, nothing: one of `UNREADABLE`."""
        targets, hits = _decode(entry.packed)
        if left_out := frozenset(read_places(entry.repeats)):
            hits = [hit for place, hit in enumerate(hits) if place not in left_out]
        cells = [self._targets[ids] for ids in targets]
        events: list[bytes] = []
        visits: list[bytes] = []
        counts: list[tuple[bytes, int, bytes]] = []
        for first in range(0, len(hits), SLICE):
            await asyncio.sleep(0)
            self._add(cells, hits[first : first + SLICE], events, visits, counts)
        self.keys += [(*targets[hit[1]][:2], hit[8], hit[6]) for hit in hits if hit[8]]
        self.events += events
        self.visits.update(visits)
        self.counts.update(counts)

    def _add(
        self,
        cells: Sequence[bytes],
        hits: Sequence[_Hit],
        events: list[bytes],
        visits: list[bytes],
        counts: list[tuple[bytes, int, bytes]],
    ) -> None:
        """The rows of some hits. Whatever can be a local or is looked up once is: each line runs for every event."""
        whats, lengths, days, join = self._whats, self._lengths, self._days, b"".join
        hour = begins = ends = 0
        for hit, (event_id,), (visitor_id,) in zip(hits, _ids(hits), _visitors(hits), strict=True):
            _, place, kind, outcome, channel, occurred, received, visitor, key, address, agent = hit
            target, what = cells[place], whats[kind][outcome][channel]
            if not begins <= occurred < ends:  # dividing costs three times as much
                hour = occurred // HOUR_US
                begins, ends = hour * HOUR_US, (hour + 1) * HOUR_US
            seen = _NULL if visitor is None else _VISITOR_FOLLOWS + visitor_id
            at = _INSTANT(8, received - POSTGRES_US)
            # Looking up texts that mostly differ costs more than encoding them.
            named = b"" if key is None else key.encode()
            came_from = b"" if address is None else address.encode()
            came_by = b"" if agent is None else agent.encode()
            row = (
                _EVENT_COLUMNS,
                at,
                _ID_FOLLOWS,
                event_id,
                target,
                _NULL if key is None else lengths[len(named)],
                named,
                what,
                seen,
                at if occurred == received else _INSTANT(8, occurred - POSTGRES_US),
                _NULL if address is None else lengths[len(came_from)],
                came_from,
                _NULL if agent is None else lengths[len(came_by)],
                came_by,
            )
            events.append(join(row))
            counts.append((target, hour, what))
            if outcome == "human" and visitor is not None and kind in VISITS:
                visits.append(join((_VISIT_COLUMNS, target, days[hour], seen)))


def _ids(hits: Sequence[_Hit]) -> Iterator[tuple[bytes]]:
    return _split_ids(binascii.a2b_hex("".join([hit[0] for hit in hits])))


def _visitors(hits: Sequence[_Hit]) -> Iterator[tuple[bytes]]:
    names = "".join([hit[7] or _NOBODY for hit in hits]).encode().translate(_URL_SAFE)
    return _split_visitors(binascii.a2b_base64(names, strict_mode=True))
