"""Work under a shard's lock, which somebody else may have: told who, and not for ever."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from app.resources import Resources
from app.tracking import leases, positions

T = TypeVar("T")
# What one is waiting for; None when it has come.
Waits = Callable[[str | None], None]
# No piece of anybody's work takes so long.
PATIENCE_SECONDS = 120.0


def nobody(_: str | None) -> None:
    """Nobody asks."""


async def on_shard(
    resources: Resources,
    shard: int,
    work: Callable[[AsyncSession], Awaitable[T]],
    *,
    what: str = positions.REPAIRS,
    waits: Waits = nobody,
) -> T:
    """A transaction with the lock. Who has it and hangs loses it; HeldError where somebody is at work for too long."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            async with resources.db.system() as session:
                await positions.lock(session, shard, what, tell=waits)
                waits(None)
                return await work(session)
        except positions.HeldError:
            if time.monotonic() > until:
                raise
        async with resources.db.system() as session:
            await positions.end_the_silent(session, shard, seconds=leases.LEASE_SECONDS)
