"""Statements by the driver itself, in a session's own transaction.

Of what a small statement costs this process, the toolkit is four fifths; a paid order takes several of them.
"""

from __future__ import annotations

from typing import Any

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

_BEGIN = text("SELECT 1")


async def fetch(session: AsyncSession, query: str, *args: Any) -> list[Any]:
    """Rows, with plain values: UUIDs for ids, texts for JSON."""
    driver = await _driver(session)
    try:
        found: list[Any] = await driver.fetch(query, *args)
    except asyncpg.InterfaceError as error:  # the client's own word for a connection that is gone
        raise ConnectionError(str(error)) from error
    return found


async def _driver(session: AsyncSession) -> Any:
    """What the session has not sent yet goes before."""
    if session.new or session.dirty or session.deleted:
        await session.flush()
    transaction = session.sync_session.get_transaction()
    known = session.info.get("driver")
    if known is not None and transaction is not None and known[0] is transaction:
        return known[1]
    connection = await session.connection()
    driver: Any = (await connection.get_raw_connection()).driver_connection
    if not driver.is_in_transaction():
        await session.execute(_BEGIN)  # the toolkit begins it with its first statement
    # Of this transaction alone: in the next one it may be somebody else's.
    session.info["driver"] = session.sync_session.get_transaction(), driver
    return driver
