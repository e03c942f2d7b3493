"""Very many events into Postgres at once: by COPY, as if all were new, and what they add to the rollups.

Runs as *system*. Tables and rows are touched in the order of `store` and `fallback`, because all three run at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from app.tracking.copies import Copies
from app.tracking.hits import COUNTERS

# Rows that are there already, or that no table takes: which ones, only another way can tell.
NOT_AS_THEY_ARE = (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError)

_TARGET = ("merchant_id", "participant_id", "campaign_id")
_EVENTS = (
    *("received_at", "id", *_TARGET, "client_event_id", "type", "outcome", "channel", "visitor"),
    *("occurred_at", "address", "user_agent"),
)
_KEYS = ("merchant_id", "key_hash", "seen_on")
_TOTALS = (*_TARGET, "hour", "channel", *COUNTERS)
_VISITORS = (*_TARGET, "day", "visitor")
_TOTAL, _VISIT = (
    ("merchant_id", "participant_id", "hour", "channel"),
    ("merchant_id", "participant_id", "day", "visitor"),
)
# Rollups are under row-level security, where COPY is refused: they come by way of tables of this connection's own.
_STAGES = """
    CREATE TEMPORARY TABLE IF NOT EXISTS drained_totals (LIKE participant_totals) ON COMMIT DELETE ROWS;
    CREATE TEMPORARY TABLE IF NOT EXISTS drained_visitors (LIKE participant_visitors) ON COMMIT DELETE ROWS;
"""


def _same(table: str, columns: Iterable[str]) -> str:
    return " AND ".join(f"{table}.{name} = drained.{name}" for name in columns)


# Row by row as they were copied, in their order, and by the primary key: no plan that the planner could take for better
# locks rows in another order than everybody else. Before version 18 what is switched off is priced so high that half a
# second would go into compiling it.
_IN_ORDER = """
    SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_seqscan = off;
    SET LOCAL jit = off
"""
# At half the price of ON CONFLICT, which stands behind it for rows that somebody else adds at this very moment.
_ADD = f"""
    SAVEPOINT added;
    {_IN_ORDER};
    MERGE INTO participant_totals AS own USING pg_temp.drained_totals AS drained ON {_same("own", _TOTAL)}
    WHEN MATCHED THEN UPDATE SET {", ".join(f"{name} = own.{name} + drained.{name}" for name in COUNTERS)}
    WHEN NOT MATCHED THEN INSERT ({", ".join(_TOTALS)}) VALUES ({", ".join(f"drained.{name}" for name in _TOTALS)});
    INSERT INTO participant_visitors ({", ".join(_VISITORS)})
    SELECT {", ".join(_VISITORS)} FROM pg_temp.drained_visitors AS drained
    WHERE NOT EXISTS (SELECT FROM participant_visitors AS own WHERE {_same("own", _VISIT)})
"""  # noqa: S608 - constants above
_ADD_BESIDE_OTHERS = f"""
    ROLLBACK TO SAVEPOINT added;
    INSERT INTO participant_totals ({", ".join(_TOTALS)}) SELECT {", ".join(_TOTALS)} FROM pg_temp.drained_totals
    ON CONFLICT ({", ".join(_TOTAL)}) DO UPDATE
    SET {", ".join(f"{name} = participant_totals.{name} + excluded.{name}" for name in COUNTERS)};
    INSERT INTO participant_visitors ({", ".join(_VISITORS)})
    SELECT {", ".join(_VISITORS)} FROM pg_temp.drained_visitors ON CONFLICT DO NOTHING
"""  # noqa: S608 - constants above

_COPY_BEGINS = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_ENDS = b"\xff\xff"


async def copy(session: AsyncSession, copies: Copies) -> None:
    """The rows, and what is to be counted to the side: one of `NOT_AS_THEY_ARE`, and the transaction is lost, or all.

    In few round trips: while one is under way Postgres waits, and the next piece is made before the answer is heard.
    """
    driver = await _driver(session)
    await driver.execute(_STAGES)
    if copies.keys:
        await _copy(driver, "event_keys", _KEYS, copies.keys)
    await _copy(driver, "tracked_events", _EVENTS, copies.rows)
    await _copy(driver, "drained_totals", _TOTALS, copies.totals)
    await _copy(driver, "drained_visitors", _VISITORS, copies.visitors)


async def count(session: AsyncSession) -> None:
    """What this transaction copied, into the rollups. Fails like `copy`."""
    driver = await _driver(session)
    try:
        await driver.execute(_ADD)
    except asyncpg.UniqueViolationError:
        await driver.execute(_ADD_BESIDE_OTHERS)


async def _driver(session: AsyncSession) -> asyncpg.Connection[Any]:
    """The connection below the session's transaction, which must have begun."""
    connection: Any = await (await session.connection()).get_raw_connection()
    driver: asyncpg.Connection[Any] = connection.driver_connection
    return driver


async def _copy(driver: asyncpg.Connection[Any], table: str, columns: Sequence[str], chunks: Sequence[bytes]) -> None:
    async with _heard(driver):
        await driver.copy_to_table(table, source=_whole(chunks), columns=columns, format="binary")


@asynccontextmanager
async def _heard(driver: asyncpg.Connection[Any]) -> AsyncIterator[None]:
    """The end of a connection on which more is to be sent than the server takes: the driver waits on, for ever."""
    scope = asyncio.timeout(None)

    def broken_off(_: object) -> None:
        with suppress(RuntimeError):  # the driver has heard of it, and the scope is left
            scope.reschedule(0)

    driver.add_termination_listener(broken_off)
    try:
        async with scope:
            yield
    except TimeoutError as error:
        if not scope.expired():
            raise
        raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of a COPY") from error
    finally:
        driver.remove_termination_listener(broken_off)


async def _whole(chunks: Sequence[bytes]) -> AsyncIterator[bytes]:
    yield _COPY_BEGINS
    for chunk in chunks:
        yield chunk
    yield _COPY_ENDS
