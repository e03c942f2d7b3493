"""Meeting at a lock, for races that must not depend on luck."""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy import text

from app.resources import Resources

_WAITING = text("SELECT count(*) FROM pg_locks WHERE NOT granted")


async def until_blocked(resources: Resources, task: asyncio.Task[Any]) -> None:
    """The task has come as far as a lock that somebody else holds."""
    async with asyncio.timeout(10), resources.db.app_engine.connect() as connection:
        while not task.done() and not await connection.scalar(_WAITING):
            await asyncio.wait({task}, timeout=0.01)
