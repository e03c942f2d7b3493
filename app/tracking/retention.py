"""Partitions for the days to come, and the end of what is kept for a while only. All as *system*."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

# Back too, so that events which came while no worker ran find their way out of the default partition.
DAYS_BACK = 7
DAYS_AHEAD = 7
ORIGIN_DAYS = 30
EVENT_KEY_DAYS = 30

_ENSURE = text("SELECT ensure_event_partitions(:first_day, :days)")
_FORGET_ORIGINS = text("SELECT forget_event_origins(:kept_from)")
_FORGET_KEYS = text("DELETE FROM event_keys WHERE seen_on < :kept_from")


async def make_partitions(session: AsyncSession, *, now: datetime) -> int:
    """How many days were made."""
    given = {"first_day": now.date() - timedelta(days=DAYS_BACK), "days": DAYS_BACK + DAYS_AHEAD + 1}
    return await session.scalar(_ENSURE, given) or 0


async def forget_origins(session: AsyncSession, *, now: datetime) -> bool:
    """Clear addresses and agents of the oldest day that still has them; False where none is left."""
    kept_from = now.date() - timedelta(days=ORIGIN_DAYS)
    return await session.scalar(_FORGET_ORIGINS, {"kept_from": kept_from}) is not None


async def forget_event_keys(session: AsyncSession, *, now: datetime) -> None:
    await session.execute(_FORGET_KEYS, {"kept_from": now.date() - timedelta(days=EVENT_KEY_DAYS)})
