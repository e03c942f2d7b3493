"""What COPY takes for a piece of a stream, table by table, made before its transaction begins.

Rows are in the order of primary keys as `store` and `fallback` have it, because all three run at once.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar
from uuid import UUID

from app.tracking.columns import POSTGRES_DAY, POSTGRES_US, Columns, cell
from app.tracking.hits import COUNTERS, DAY_US, HOUR_US
from app.tracking.keys import event_key

ROWS_A_CHUNK = 1_000
_COUNTED = {"click": 0, "scan": 1, "view": 2, "share": 3, "bot": 4, "late": 5}
_KEY = struct.Struct(">hi16si16sii").pack
_TOTAL_COLUMNS = struct.pack(">h", 11)
_NUMBER = struct.Struct(">iq").pack
Total = tuple[tuple[bytes, int, str], list[int]]
T = TypeVar("T")


class _Numbers(dict[int, bytes]):
    """Counts are small."""

    def __missing__(self, number: int) -> bytes:
        found = self[number] = _NUMBER(8, number)
        return found


@dataclass(frozen=True, slots=True)
class Copies:
    """Chunks of rows; `events` is how many `rows` there are."""

    events: int = 0
    keys: list[bytes] = field(default_factory=list)
    rows: list[bytes] = field(default_factory=list)
    totals: list[bytes] = field(default_factory=list)
    visitors: list[bytes] = field(default_factory=list)


async def make(columns: Columns) -> Copies:
    """A little at a time: whoever feeds Postgres meanwhile must not starve."""
    numbers = _Numbers()
    return Copies(
        len(columns.events),
        await _chunks(sorted(map(_key_row, columns.keys)), bytes),
        await _chunks(sorted(columns.events), bytes),
        await _chunks(sorted(_totals(columns).items()), lambda total: _total_row(total, numbers)),
        await _chunks(sorted(columns.visits), bytes),
    )


async def _chunks(rows: Sequence[T], row: Callable[[T], bytes]) -> list[bytes]:
    chunks = []
    for first in range(0, len(rows), ROWS_A_CHUNK):
        await asyncio.sleep(0)
        chunks.append(b"".join(map(row, rows[first : first + ROWS_A_CHUNK])))
    return chunks


def _key_row(key: tuple[str, str, str, int]) -> bytes:
    merchant, campaign, client_event_id, received = key
    day = received // DAY_US - POSTGRES_DAY
    return _KEY(3, 16, bytes.fromhex(merchant), 16, event_key(UUID(campaign), client_event_id), 4, day)


def _totals(columns: Columns) -> dict[tuple[bytes, int, str], list[int]]:
    """By target, hour and channel, for each of `COUNTERS` how many."""
    places = {
        cells: (_COUNTED[kind if outcome == "human" else outcome], channel)
        for (kind, outcome, channel), cells in columns.whats.items()
    }
    sums: dict[tuple[bytes, int, str], list[int]] = {}
    for (target, hour, what), number in columns.counts.items():
        counter, channel = places[what]
        counts = sums.get((target, hour, channel))
        if counts is None:
            counts = sums[target, hour, channel] = [0] * len(COUNTERS)
        counts[counter] += number
    return sums


def _total_row(total: Total, numbers: _Numbers) -> bytes:
    (target, hour, channel), counts = total
    cells = (target, _NUMBER(8, hour * HOUR_US - POSTGRES_US), cell(channel), *map(numbers.__getitem__, counts))
    return _TOTAL_COLUMNS + b"".join(cells)
