"""Very many events into Postgres at once: by COPY, as if all were new, and what they add to the rollups.

Tables and rows are touched in the order of `store` and `fallback`, because all three run at once.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from app.tracking.hits import COUNTERS, DAY_US, HOUR_US
from app.tracking.keys import event_key
from app.tracking.pieces import POSTGRES_US, Columns

# Rows that are there already, or that no table takes: which ones, only another way can tell.
NOT_AS_THEY_ARE = (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError)
ROWS_A_CHUNK = 1_000

_EVENTS = (
    *("received_at", "id", "merchant_id", "campaign_id", "participant_id", "client_event_id", "type", "outcome"),
    *("channel", "visitor", "occurred_at", "address", "user_agent"),
)
_KEYS = ("merchant_id", "key_hash", "seen_on")
_TARGET = ("merchant_id", "campaign_id", "participant_id")
_TOTALS = (*_TARGET, "hour", "channel", *COUNTERS)
_VISITORS = (*_TARGET, "day", "visitor")
# Rollups are under row-level security, where COPY is refused: they come by way of tables of this connection's own.
_STAGES = """
    CREATE TEMPORARY TABLE IF NOT EXISTS drained_totals (LIKE participant_totals) ON COMMIT DELETE ROWS;
    CREATE TEMPORARY TABLE IF NOT EXISTS drained_visitors (LIKE participant_visitors) ON COMMIT DELETE ROWS;
"""
_ADD_TOTALS = f"""
    INSERT INTO participant_totals ({", ".join(_TOTALS)}) SELECT {", ".join(_TOTALS)} FROM pg_temp.drained_totals
    ORDER BY merchant_id, participant_id, hour, channel COLLATE "C"
    ON CONFLICT (merchant_id, participant_id, hour, channel) DO UPDATE
    SET {", ".join(f"{name} = participant_totals.{name} + excluded.{name}" for name in COUNTERS)}
"""  # noqa: S608 - constants above
_ADD_VISITORS = f"""
    INSERT INTO participant_visitors ({", ".join(_VISITORS)})
    SELECT {", ".join(_VISITORS)} FROM pg_temp.drained_visitors
    ORDER BY merchant_id, participant_id, day, visitor
    ON CONFLICT DO NOTHING
"""  # noqa: S608 - constants above

_COUNTED = {"click": 0, "scan": 1, "view": 2, "share": 3, "bot": 4, "late": 5}
_KEY = struct.Struct(">hi16si16sii").pack
_TOTAL_COLUMNS, _VISITOR_COLUMNS = struct.pack(">h", 11), struct.pack(">h", 5)
_TOTAL = struct.Struct(">iqi").pack
_COUNTS = struct.Struct(">iqiqiqiqiqiq").pack
_DAY = struct.Struct(">ii").pack
_COPY_BEGINS = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_ENDS = b"\xff\xff"
_POSTGRES_DAY = POSTGRES_US // DAY_US


async def store(session: AsyncSession, columns: Columns) -> None:
    """All of it, or one of `NOT_AS_THEY_ARE` and nothing. Runs as *system*."""
    driver = await _driver(session)
    async with driver.transaction():  # in the session's: a savepoint
        if columns.keys:
            await _copy(driver, "event_keys", _KEYS, sorted(map(_key_row, columns.keys)))
        await _copy(driver, "tracked_events", _EVENTS, sorted(columns.events))
        await driver.execute(_STAGES)
        await _copy(driver, "drained_totals", _TOTALS, _total_rows(columns))
        await driver.execute(_ADD_TOTALS)
        if columns.visits:
            await _copy(driver, "drained_visitors", _VISITORS, list(map(_visitor_row, columns.visits)))
            await driver.execute(_ADD_VISITORS)


async def _driver(session: AsyncSession) -> asyncpg.Connection[Any]:
    """The connection below the session's transaction, which must have begun."""
    connection: Any = await (await session.connection()).get_raw_connection()
    driver: asyncpg.Connection[Any] = connection.driver_connection
    return driver


async def _copy(driver: asyncpg.Connection[Any], table: str, columns: Sequence[str], rows: Sequence[bytes]) -> None:
    await driver.copy_to_table(table, source=_chunks(rows), columns=columns, format="binary")


async def _chunks(rows: Sequence[bytes]) -> AsyncIterator[bytes]:
    yield _COPY_BEGINS
    for first in range(0, len(rows), ROWS_A_CHUNK):
        yield b"".join(rows[first : first + ROWS_A_CHUNK])
    yield _COPY_ENDS


def _key_row(key: tuple[str, str, str, int]) -> bytes:
    merchant, campaign, client_event_id, received = key
    day = received // DAY_US - _POSTGRES_DAY
    return _KEY(3, 16, bytes.fromhex(merchant), 16, event_key(UUID(campaign), client_event_id), 4, day)


def _total_rows(columns: Columns) -> list[bytes]:
    sums: dict[tuple[bytes, int, str], list[int]] = {}
    for (target, hour, channel, counted), number in columns.counts.items():
        sums.setdefault((target, hour, channel), [0] * len(COUNTERS))[_COUNTED[counted]] = number
    return [_total_row(*place, counts) for place, counts in sums.items()]


def _total_row(target: bytes, hour: int, channel: str, counts: Sequence[int]) -> bytes:
    name = channel.encode()
    cells = [part for count in counts for part in (8, count)]
    return b"".join(
        (
            _TOTAL_COLUMNS,
            target,
            _TOTAL(8, hour * HOUR_US - POSTGRES_US, len(name)),
            name,
            _COUNTS(*cells),
        )
    )


def _visitor_row(visit: tuple[bytes, int, bytes]) -> bytes:
    target, day, visitor = visit
    return b"".join((_VISITOR_COLUMNS, target, _DAY(4, day - _POSTGRES_DAY), visitor))
