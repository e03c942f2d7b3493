"""Two engines, one a runtime role: *app* works under the tenant policies, *system* does what crosses tenants."""

from __future__ import annotations

import time
from typing import Any

import msgspec
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

# A connection that was in use a moment ago is there, unless its end has been heard; a ping is three round trips.
IDLE_SECONDS = 1.0
PATIENCE_SECONDS = 10.0


def create_engine(
    url: str, *, pool_size: int = 10, overflow: int | None = None, patience: float = PATIENCE_SECONDS
) -> AsyncEngine:
    """`url` is `postgresql://…`; a dead connection is noticed before use, so that a database restart costs no 500.

    `overflow`: how many more than `pool_size` there may be for a while, else as many again. `patience`: for how many
    seconds one waits for a connection that is free.
    """
    engine = create_async_engine(
        make_url(url).set(drivername="postgresql+asyncpg"),
        pool_size=pool_size,
        max_overflow=pool_size if overflow is None else overflow,
        pool_timeout=patience,
        json_serializer=lambda value: msgspec.json.encode(value).decode(),
        json_deserializer=msgspec.json.decode,
        hide_parameters=True,  # else the text of an error quotes them, and errors are logged
        connect_args={"timeout": 5, "command_timeout": 60, "server_settings": {"timezone": "UTC"}},
    )
    _watch(engine)
    return engine


def _watch(engine: AsyncEngine) -> None:
    dialect = engine.sync_engine.dialect

    def note(connection: Any, record: Any) -> None:
        if connection is not None:
            record.info["back_at"] = time.monotonic()

    def check(connection: Any, record: Any, _: Any) -> None:
        if connection.driver_connection.is_closed():
            raise DisconnectionError("the server has closed it")
        back_at = record.info.get("back_at")
        if back_at is None or time.monotonic() - back_at < IDLE_SECONDS:
            return
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as error:
            raise DisconnectionError(str(error)) from error

    event.listen(engine.sync_engine, "checkin", note)
    event.listen(engine.sync_engine, "checkout", check)
