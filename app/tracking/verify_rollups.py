"""Do the rollups say what the raw events say? One statement, so that both are of one moment."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit import ids
from app.tracking.hits import COUNTERS
from app.tracking.rows import UNIQUE
from app.tracking.verify import Difference

_NAMES = (*COUNTERS, UNIQUE)
# As `Hit.counter` and `Hit.visit_day` have it.
_CONDITIONS = {
    **{f"{kind}s": f"outcome = 'human' AND type = '{kind}'" for kind in ("click", "scan", "view", "share")},
    **{f"{outcome}_hits": f"outcome = '{outcome}'" for outcome in ("bot", "late")},
}
_VISITS = "outcome = 'human' AND type IN ('click', 'scan') AND visitor IS NOT NULL"
_DAY = "(occurred_at AT TIME ZONE 'UTC' + interval '8 hours')::date"

# What happened earlier may be of a day whose raw events are dropped; a comment on their table says which those are.
_GONE = "substring(obj_description('tracked_events'::regclass, 'pg_class') FROM '[0-9-]+$')::date"
_SINCE = f"(SELECT coalesce({_GONE} + 1, '-infinity'))"

_COUNTS = ", ".join(
    f"count(*) FILTER (WHERE {_CONDITIONS[name]} AND occurred_at >= {_SINCE}) AS {name}" for name in COUNTERS
)

_DIFFERENT = text(f"""
    WITH events AS (
        SELECT campaign_id, participant_id, {_COUNTS},
               count(DISTINCT ({_DAY}, visitor)) FILTER (WHERE {_VISITS} AND {_DAY} >= {_SINCE}) AS {UNIQUE}
        FROM tracked_events WHERE campaign_id = ANY(:campaigns) GROUP BY campaign_id, participant_id
    ), sums AS (
        SELECT campaign_id, participant_id, {", ".join(f"sum({name})::bigint AS {name}" for name in COUNTERS)}
        FROM participant_totals WHERE campaign_id = ANY(:campaigns) AND hour >= {_SINCE}
        GROUP BY campaign_id, participant_id
    ), visitors AS (
        SELECT campaign_id, participant_id, count(*) AS {UNIQUE}
        FROM participant_visitors WHERE campaign_id = ANY(:campaigns) AND day >= {_SINCE}
        GROUP BY campaign_id, participant_id
    ), rollups AS (
        SELECT campaign_id, participant_id, {", ".join(f"coalesce({name}, 0) AS {name}" for name in _NAMES)}
        FROM sums FULL JOIN visitors USING (campaign_id, participant_id)
    )
    SELECT campaign_id, participant_id, {", ".join(f"coalesce(r.{n}, 0), coalesce(e.{n}, 0)" for n in _NAMES)}
    FROM rollups r FULL JOIN events e USING (campaign_id, participant_id)
    WHERE ({", ".join(f"coalesce(r.{name}, 0)" for name in _NAMES)})
          IS DISTINCT FROM ({", ".join(f"coalesce(e.{name}, 0)" for name in _NAMES)})
""")  # noqa: S608 - constants above


async def rollups(session: AsyncSession, campaigns: Sequence[UUID]) -> list[Difference]:
    """Reads the raw events of these campaigns, all of them, as *system*."""
    differences = []
    for campaign, participant, *numbers in await session.execute(_DIFFERENT, {"campaigns": list(campaigns)}):
        where, campaign_id = ids.encode("ptc", participant), ids.encode("cmp", campaign)
        for name, counted, expected in zip(_NAMES, numbers[::2], numbers[1::2], strict=True):
            if counted != expected:
                differences.append(Difference("rollup", campaign_id, where, name, counted, expected))
    return differences
