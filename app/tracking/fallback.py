"""Batches that Redis does not take, straight into Postgres: one statement each, one commit.

The rows end up as `store.record` makes them. It touches tables and rows in the same order, because both run at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from app.db.session import Database
from app.tracking import rules
from app.tracking.hits import COUNTERS, Hit, date_of, hour_start, instant_of
from app.tracking.keys import event_key
from app.tracking.store import EVENT_COLUMNS, visitor_bytes

_OWN_COLUMNS = {"key_hash": "bytea", "counter": "text", "hour": "timestamptz", "day": "date"}
_COLUMNS = {**EVENT_COLUMNS, **_OWN_COLUMNS}
_ARRAYS = ", ".join(f"${place}::{kind}[]" for place, kind in enumerate(_COLUMNS.values(), 1))
_REPAIR_ARRAYS = ", ".join(f"${place}::uuid[]" for place in range(len(_COLUMNS) + 1, len(_COLUMNS) + 4))
_PLACE = "merchant_id, participant_id, hour, channel"
_VISIT = "merchant_id, participant_id, day, visitor"

# What the rollups wait for is written into the statement, so that rows are always locked table after table, and in each
# in the order of Python: the database's own may put channels otherwise.
_RECORD = f"""
    WITH given AS MATERIALIZED (SELECT * FROM unnest({_ARRAYS}) AS given ({", ".join(_COLUMNS)})),
    keys AS (
        INSERT INTO event_keys (merchant_id, key_hash, seen_on)
        SELECT merchant_id, key_hash, received_at::date FROM given WHERE key_hash IS NOT NULL ORDER BY 1, 2
        ON CONFLICT DO NOTHING RETURNING merchant_id, key_hash
    ), new AS (
        INSERT INTO tracked_events ({", ".join(EVENT_COLUMNS)})
        SELECT {", ".join(EVENT_COLUMNS)} FROM given
        WHERE key_hash IS NULL OR (merchant_id, key_hash) IN (SELECT merchant_id, key_hash FROM keys)
        ORDER BY received_at, id
        ON CONFLICT DO NOTHING RETURNING id
    ), counted AS MATERIALIZED (SELECT given.* FROM given WHERE id IN (SELECT id FROM new)),
    totals AS (
        INSERT INTO participant_totals ({_PLACE}, campaign_id, {", ".join(COUNTERS)})
        SELECT {_PLACE}, campaign_id, {", ".join(f"count(*) FILTER (WHERE counter = '{name}')" for name in COUNTERS)}
        FROM counted GROUP BY {_PLACE}, campaign_id ORDER BY {_PLACE} COLLATE "C"
        ON CONFLICT ({_PLACE}) DO UPDATE
        SET {", ".join(f"{name} = participant_totals.{name} + excluded.{name}" for name in COUNTERS)}
        RETURNING 1
    ), visitors AS (
        INSERT INTO participant_visitors ({_VISIT}, campaign_id)
        SELECT DISTINCT {_VISIT}, campaign_id FROM counted
        WHERE day IS NOT NULL AND (SELECT count(*) FROM totals) > 0 ORDER BY {_VISIT}
        ON CONFLICT DO NOTHING RETURNING 1
    ), repairs AS (
        INSERT INTO counter_repairs (merchant_id, id, campaign_id)
        SELECT * FROM unnest({_REPAIR_ARRAYS}) WHERE (SELECT count(*) FROM visitors) >= 0
    )
    SELECT id FROM new
"""  # noqa: S608 - constants above
_KNOWN = "SELECT id FROM tracked_events WHERE received_at = ANY($1::timestamptz[]) AND id = ANY($2::uuid[])"


async def record(db: Database, hits: Sequence[Hit]) -> list[bool]:
    """For each hit whether it was new; their campaigns' live counters are to be repaired. An edge, as *system*."""
    candidates = sorted(_firsts(hits), key=lambda hit: (hit.received_us, hit.id))
    repairs = [(merchant, uuid7(), campaign) for merchant, campaign in sorted(rules.campaigns(hits))]
    arguments = [*_columns(map(_row, candidates)), *_columns(repairs)]
    async with db.fallback_engine.connect() as pooled:
        # The driver's own, on which no transaction has begun: the statement is one.
        connection: Any = (await pooled.get_raw_connection()).driver_connection
        new = _ids(await connection.fetch(_RECORD, *arguments))
        unsure = [hit for hit in candidates if hit.id not in new]
        if unsure:
            # Stored before under this very id: Redis had it all the same, its reply was lost, and it is drained.
            received = [instant_of(hit.received_us) for hit in unsure]
            new |= _ids(await connection.fetch(_KNOWN, received, [hit.id for hit in unsure]))
    return [hit.id in new for hit in hits]


def _ids(found: Iterable[Sequence[UUID]]) -> set[UUID]:
    """As ours: the driver's are of a class of their own."""
    return {UUID(int=row[0].int) for row in found}


def _firsts(hits: Sequence[Hit]) -> list[Hit]:
    """The first hit of each client's event id, and all without one."""
    named: set[tuple[UUID, str]] = set()
    found = []
    for hit in hits:
        name = (hit.target.campaign_id, hit.client_event_id or "")
        if not hit.client_event_id or name not in named:
            named.add(name)
            found.append(hit)
    return found


def _row(hit: Hit) -> tuple[Any, ...]:
    target, day = hit.target, hit.visit_day
    return (
        instant_of(hit.received_us),
        hit.id,
        target.merchant_id,
        target.campaign_id,
        target.participant_id,
        hit.client_event_id,
        hit.kind,
        hit.outcome,
        hit.channel,
        visitor_bytes(hit.visitor) if hit.visitor else None,
        instant_of(hit.occurred_us),
        hit.address,
        hit.user_agent,
        event_key(target.campaign_id, hit.client_event_id) if hit.client_event_id else None,
        hit.counter,
        hour_start(hit.hour),
        None if day is None else date_of(day),
    )


def _columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
