"""Runs migrations as the owner: one at a time over all machines, and never waiting long for a lock."""

from __future__ import annotations

import asyncio
import os

from alembic import context
from sqlalchemy import Connection, pool, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from app.models import Base

ADVISORY_LOCK = 7_203_114_901  # any number, the same everywhere


def include(name: str | None, kind: str, _parents: object) -> bool:
    """Partitions of the raw events come and go by themselves."""
    return not (kind == "table" and (name or "").startswith("tracked_events_"))


def migrate(connection: Connection) -> None:
    connection.execute(text("SET lock_timeout = '5s'"))
    connection.execute(text("SET statement_timeout = '15min'"))
    connection.execute(text(f"SELECT pg_advisory_lock({ADVISORY_LOCK})"))
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        include_name=include,
        compare_type=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


async def main() -> None:
    # The owner's URL is read here and in app.settings only: migrations need none of the runtime's secrets.
    url = context.config.attributes.get("url") or os.environ["DATABASE_OWNER_URL"]
    engine = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"), poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


asyncio.run(main())
