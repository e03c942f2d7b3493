"""Two engines, one a runtime role: *app* works under the tenant policies, *system* does what crosses tenants."""

from __future__ import annotations

import msgspec
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine


def create_engine(url: str, *, pool_size: int = 10) -> AsyncEngine:
    """`url` is `postgresql://…`; a dead connection is noticed before use, so that a database restart costs no 500."""
    return create_async_engine(
        make_url(url).set(drivername="postgresql+asyncpg"),
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_pre_ping=True,
        pool_timeout=10,
        json_serializer=lambda value: msgspec.json.encode(value).decode(),
        json_deserializer=msgspec.json.decode,
        hide_parameters=True,  # else the text of an error quotes them, and errors are logged
        connect_args={"timeout": 5, "command_timeout": 60, "server_settings": {"timezone": "UTC"}},
    )
