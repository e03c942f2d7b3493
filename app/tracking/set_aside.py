"""Entries that cannot be drained: kept apart for 30 days and told of, so that they hold up nothing behind them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit import logging
from app.tracking import metrics
from app.tracking.stream import Entry

log = logging.get(__name__)
# SQLSTATE: data that a type does not take; rows that a constraint does not take.
_ABOUT_CONTENT = ("22", "23")
_KEEP = text("""
    INSERT INTO set_aside_entries (shard, entry_id, sequence, packed, repeats, reason)
    VALUES (:shard, :entry_id, :sequence, :packed, :repeats, :reason) ON CONFLICT DO NOTHING
""")


def is_about_content(error: DBAPIError) -> bool:
    """Whether the same rows would be refused again, however often they come."""
    code = getattr(error.orig, "sqlstate", None)
    return isinstance(code, str) and code[:2] in _ABOUT_CONTENT


async def keep(session: AsyncSession, shard: int, refused: Sequence[tuple[Entry, str]]) -> None:
    """`refused`: each entry with the reason. Runs as *system*."""
    for entry, reason in refused:
        log.error("stream_entry_set_aside", shard=shard, entry_id=entry.id, sequence=entry.sequence, reason=reason)
        metrics.SET_ASIDE.inc()
        given = {
            "shard": shard,
            "entry_id": entry.id,
            "sequence": entry.sequence,
            "packed": entry.packed,
            "repeats": entry.repeats,
            "reason": reason[:500],
        }
        await session.execute(_KEEP, given)
