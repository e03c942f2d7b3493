"""Partitions for the days to come, and the end of what is kept for a while only. All as *system*."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit import logging

log = logging.get(__name__)
# Back too, so that events which came while no worker ran find their way out of the default partition.
DAYS_BACK = 7
DAYS_AHEAD = 7
ORIGIN_DAYS = 30
EVENT_KEY_DAYS = 30

_ENSURE = text("SELECT ensure_event_partitions(:first_day, :days)")
_FORGET_ORIGINS = text("SELECT forget_event_origins(:kept_from)")
_DROP = text("SELECT drop_event_partition(:kept_from)")
_FORGET_SET_ASIDE = text("DELETE FROM set_aside_entries WHERE set_aside_at < :before")
# Somebody works with the events now: SQLSTATE lock_not_available.
_BUSY = "55P03"
_FORGET_KEYS = text("DELETE FROM event_keys WHERE seen_on < :kept_from")


async def make_partitions(session: AsyncSession, *, now: datetime) -> int:
    """How many days were made."""
    given = {"first_day": now.date() - timedelta(days=DAYS_BACK), "days": DAYS_BACK + DAYS_AHEAD + 1}
    return await session.scalar(_ENSURE, given) or 0


async def forget_origins(session: AsyncSession, *, now: datetime) -> bool:
    """Clear addresses and agents of the oldest day that still has them; False where none is left."""
    kept_from = now.date() - timedelta(days=ORIGIN_DAYS)
    return await session.scalar(_FORGET_ORIGINS, {"kept_from": kept_from}) is not None


async def drop_events(session: AsyncSession, *, now: datetime, kept_days: int) -> bool:
    """Drop the oldest day of raw events that is older; False where none is left, or somebody is at them just now."""
    try:
        async with session.begin_nested():
            kept_from = now.date() - timedelta(days=kept_days)
            return await session.scalar(_DROP, {"kept_from": kept_from}) is not None
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _BUSY:
            raise
        log.info("events_not_dropped_yet", reason="somebody is at them just now")
        return False


async def forget_set_aside(session: AsyncSession, *, now: datetime) -> None:
    """They hold addresses and agents, too."""
    await session.execute(_FORGET_SET_ASIDE, {"before": now - timedelta(days=ORIGIN_DAYS)})


async def forget_event_keys(session: AsyncSession, *, now: datetime) -> None:
    await session.execute(_FORGET_KEYS, {"kept_from": now.date() - timedelta(days=EVENT_KEY_DAYS)})
