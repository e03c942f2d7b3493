"""What COPY takes for a piece of a stream, table by table, made before its transaction begins.

Rows are in the order of primary keys as `store` and `fallback` have it, because all three run at once.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from uuid import UUID

from app.tracking.columns import POSTGRES_DAY, POSTGRES_US, Columns
from app.tracking.hits import COUNTERS, DAY_US, HOUR_US
from app.tracking.keys import event_key

ROWS_A_CHUNK = 1_000
_COUNTED = {"click": 0, "scan": 1, "view": 2, "share": 3, "bot": 4, "late": 5}
_KEY = struct.Struct(">hi16si16sii").pack
_TOTAL_COLUMNS = struct.pack(">h", 11)
_LENGTH = struct.Struct(">i").pack
_NUMBER = struct.Struct(">iq").pack
# Cells of a target and an hour.
_PLACE_BYTES = 3 * (4 + 16) + 4 + 8
# Those that name their events are few, and making one costs as much as hashing an id.
_campaign = lru_cache(1_000)(UUID)


class _Numbers(dict[int, bytes]):
    """Counts are small, and hours few."""

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
    return Copies(
        len(columns.events),
        await _chunks(sorted(map(_key_row, columns.keys))),
        await _chunks(sorted(columns.events)),
        await _chunks(await _total_rows(columns)),
        await _chunks(sorted(columns.visits)),
    )


async def _chunks(rows: Sequence[bytes]) -> list[bytes]:
    chunks = []
    for first in range(0, len(rows), ROWS_A_CHUNK):
        await asyncio.sleep(0)
        chunks.append(b"".join(rows[first : first + ROWS_A_CHUNK]))
    return chunks


def _key_row(key: tuple[str, str, str, int]) -> bytes:
    merchant, campaign, client_event_id, received = key
    day = received // DAY_US - POSTGRES_DAY
    return _KEY(3, 16, bytes.fromhex(merchant), 16, event_key(_campaign(campaign), client_event_id), 4, day)


async def _total_rows(columns: Columns) -> list[bytes]:
    numbers, rows = _Numbers(), []
    sums = _totals(columns, numbers)
    for number, place in enumerate(sorted(sums)):
        if not number % ROWS_A_CHUNK:
            await asyncio.sleep(0)
        channel = place[_PLACE_BYTES:]
        counts = map(numbers.__getitem__, sums[place])
        rows.append(b"".join((_TOTAL_COLUMNS, place[:_PLACE_BYTES], _LENGTH(len(channel)), channel, *counts)))
    return rows


def _totals(columns: Columns, numbers: _Numbers) -> dict[bytes, list[int]]:
    """By the cells of target and hour with the channel behind them, for each of `COUNTERS` how many."""
    meanings = {
        cells: (_COUNTED[kind if outcome == "human" else outcome], channel.encode())
        for cells, (kind, outcome, channel) in columns.meanings.items()
    }
    sums: dict[bytes, list[int]] = {}
    for (target, hour, what), number in columns.counts.items():
        counter, channel = meanings[what]
        place = target + numbers[hour * HOUR_US - POSTGRES_US] + channel
        counts = sums.get(place)
        if counts is None:
            counts = sums[place] = [0] * len(COUNTERS)
        counts[counter] += number
    return sums
