"""Events into Postgres: each once, whatever way and how often it comes, and the rollups with it.

The statements touch tables in one order and rows in sorted order, because many batches run at once.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from app.tracking import rules
from app.tracking.hits import COUNTERS, Hit, Target, date_of, hour_start, instant_of
from app.tracking.keys import event_key

EVENT_COLUMNS = {
    "received_at": "timestamptz",
    "id": "uuid",
    "merchant_id": "uuid",
    "campaign_id": "uuid",
    "participant_id": "uuid",
    "client_event_id": "text",
    "type": "text",
    "outcome": "text",
    "channel": "text",
    "visitor": "bytea",
    "occurred_at": "timestamptz",
    "address": "text",
    "user_agent": "text",
}


def _from_columns(table: str, columns: dict[str, str], rest: str) -> TextClause:
    """An INSERT of many rows that come as one array a column."""
    arrays = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in columns.items())
    names = ", ".join(columns)
    return text(f"INSERT INTO {table} ({names}) SELECT * FROM unnest({arrays}) {rest}")  # noqa: S608 - constants below


_KEYS = _from_columns(
    "event_keys",
    {"merchant_id": "uuid", "key_hash": "bytea", "seen_on": "date"},
    "ON CONFLICT DO NOTHING RETURNING merchant_id, key_hash",
)
_EVENTS = _from_columns(
    "tracked_events",
    EVENT_COLUMNS,
    "ON CONFLICT DO NOTHING RETURNING id",
)
_TOTALS = _from_columns(
    "participant_totals",
    {"merchant_id": "uuid", "participant_id": "uuid", "hour": "timestamptz", "channel": "text", "campaign_id": "uuid"}
    | dict.fromkeys(COUNTERS, "bigint"),
    "ON CONFLICT (merchant_id, participant_id, hour, channel) DO UPDATE SET "
    + ", ".join(f"{name} = participant_totals.{name} + excluded.{name}" for name in COUNTERS),
)
_VISITORS = _from_columns(
    "participant_visitors",
    {"merchant_id": "uuid", "participant_id": "uuid", "day": "date", "visitor": "bytea", "campaign_id": "uuid"},
    "ON CONFLICT DO NOTHING",
)
_REPAIRS = _from_columns("counter_repairs", {"merchant_id": "uuid", "id": "uuid", "campaign_id": "uuid"}, "")


async def record(session: AsyncSession, hits: Sequence[Hit]) -> list[Hit]:
    """Store what is not stored yet, and count it; what was new. Runs as *system*."""
    candidates = await _unseen(session, hits)
    candidates.sort(key=lambda hit: (hit.received_us, hit.id))
    if not candidates:
        return []
    stored = await session.execute(_EVENTS, _columns(_EVENTS, map(_event_row, candidates)))
    new_ids = set(stored.scalars())
    new = [hit for hit in candidates if hit.id in new_ids]
    await _count(session, new)
    return new


async def _unseen(session: AsyncSession, hits: Sequence[Hit]) -> list[Hit]:
    """Hits whose client's event id, where they have one, has not come before; the first of each in this batch."""
    first: dict[tuple[UUID, bytes], Hit] = {}
    for hit in hits:
        if hit.client_event_id:
            first.setdefault((hit.target.merchant_id, event_key(hit.target.campaign_id, hit.client_event_id)), hit)
    candidates = [hit for hit in hits if not hit.client_event_id]
    if first:
        rows = [(merchant, key, instant_of(hit.received_us).date()) for (merchant, key), hit in sorted(first.items())]
        stored = await session.execute(_KEYS, _columns(_KEYS, rows))
        candidates += [first[merchant, key] for merchant, key in stored]
    return candidates


async def _count(session: AsyncSession, new: Sequence[Hit]) -> None:
    if totals := rules.totals(new):
        rows = sorted(
            (*_place(target, hour_start(hour), channel), *(counts[name] for name in COUNTERS))
            for (target, hour, channel), counts in totals.items()
        )
        await session.execute(_TOTALS, _columns(_TOTALS, rows))
    if visits := rules.visits(new):
        visitors = sorted(_place(target, date_of(day), visitor_bytes(visitor)) for target, day, visitor in visits)
        await session.execute(_VISITORS, _columns(_VISITORS, visitors))


def _place(target: Target, when: date, what: str | bytes) -> tuple[Any, ...]:
    """The primary key of a rollup row, then its campaign."""
    return (target.merchant_id, target.participant_id, when, what, target.campaign_id)


async def ask_repairs(session: AsyncSession, campaigns: Iterable[tuple[UUID, UUID]]) -> None:
    """Note `(merchant, campaign)` whose live counters may differ from the rows now."""
    if rows := [(merchant, uuid7(), campaign) for merchant, campaign in sorted(campaigns)]:
        await session.execute(_REPAIRS, _columns(_REPAIRS, rows))


def visitor_bytes(visitor: str) -> bytes:
    return base64.urlsafe_b64decode(visitor)


def _event_row(hit: Hit) -> tuple[Any, ...]:
    return (
        instant_of(hit.received_us),
        hit.id,
        hit.target.merchant_id,
        hit.target.campaign_id,
        hit.target.participant_id,
        hit.client_event_id,
        hit.kind,
        hit.outcome,
        hit.channel,
        visitor_bytes(hit.visitor) if hit.visitor else None,
        instant_of(hit.occurred_us),
        hit.address,
        hit.user_agent,
    )


def _columns(statement: TextClause, rows: Iterable[tuple[Any, ...]]) -> dict[str, list[Any]]:
    """Rows turned into one list a column, by the order of the statement's parameters."""
    return dict(zip(statement.compile().params, map(list, zip(*rows, strict=True)), strict=True))
