"""Meeting at a lock, for races that must not depend on luck."""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy import text

from app.resources import Resources

_WAITING = text("SELECT count(*) FROM pg_locks WHERE NOT granted")


async def until_blocked(resources: Resources, *tasks: asyncio.Task[Any]) -> None:
    """Each task has come as far as a lock that somebody else holds."""
    async with asyncio.timeout(10), resources.db.app_engine.connect() as connection:
        while not all(task.done() for task in tasks) and await connection.scalar(_WAITING) < len(tasks):
            await asyncio.wait(tasks, timeout=0.01)
