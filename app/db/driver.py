"""Statements by the driver itself, in a session's own transaction.

Of what a small statement costs this process, the toolkit is four fifths; a paid order takes several of them.
"""

from __future__ import annotations

from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session


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
    transaction, found = session.info.get(__name__, (None, None))
    if transaction is None or transaction is not session.sync_session.get_transaction():
        found = await session.run_sync(_begin)
        # Of this transaction alone: in the next one it may be somebody else's.
        session.info[__name__] = session.sync_session.get_transaction(), found
    return found


def _begin(session: Session) -> Any:
    """As the toolkit does, so that it knows, but without the statement of its own that it would wait for."""
    adapter: Any = session.connection().connection.dbapi_connection
    if not adapter.driver_connection.is_in_transaction():
        try:
            adapter.await_(adapter._start_transaction())
        except Exception as error:
            raise ConnectionError(str(error)) from error
    return adapter.driver_connection
