"""Codes, their campaigns and channels, asked as *system* by the driver itself: scans of codes must stay cheap.

Each call takes one connection of those that are kept for look-ups, and begins no transaction.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.db.session import Database
from app.kit import ids
from app.kit.errors import Unavailable
from app.tracking.codes import CampaignFacts, CampaignKey, Reply
from app.tracking.hits import Target

MOST_CHANNELS = 200

_TARGETS = "SELECT invite_code, merchant_id, campaign_id, id FROM participants WHERE invite_code = ANY($1::text[])"
_CAMPAIGNS = """
    SELECT c.merchant_id, c.id, c.status, c.starts_at, c.ends_at, c.ended_at, m.clock_offset_seconds,
           ARRAY(SELECT name::text FROM campaign_channels WHERE merchant_id = c.merchant_id AND campaign_id = c.id)
               AS channels
    FROM unnest($1::uuid[], $2::uuid[]) wanted (merchant_id, id)
    JOIN campaigns c ON c.merchant_id = wanted.merchant_id AND c.id = wanted.id
    JOIN merchants m ON m.id = c.merchant_id
"""
# Two that come at once want the same number: the second adds nothing, sees neither, and asks again.
_REGISTER = f"""
    WITH added AS (
        INSERT INTO campaign_channels (merchant_id, campaign_id, name, number)
        SELECT $1::uuid, $2::uuid, $3::text, coalesce(max(number), 0) + 1 FROM campaign_channels
        WHERE merchant_id = $1 AND campaign_id = $2 HAVING coalesce(max(number), 0) < {MOST_CHANNELS}
        ON CONFLICT DO NOTHING RETURNING name
    )
    SELECT name::text FROM added UNION
    SELECT name::text FROM campaign_channels WHERE merchant_id = $1 AND campaign_id = $2
"""  # noqa: S608 - a constant above


async def find(db: Database, codes: Collection[str], campaigns: Collection[CampaignKey]) -> Reply:
    """Whose these codes are, their campaigns, and those that were asked for."""
    async with opened(db) as connection:
        found = await connection.fetch(_TARGETS, list(codes)) if codes else []
        targets = {code: Target(*map(_plain, owner)) for code, *owner in found}
        keys = {*campaigns, *((target.merchant_id, target.campaign_id) for target in targets.values())}
        return Reply(targets, await _campaigns(connection, keys) if keys else {})


async def register_channel(db: Database, merchant_id: UUID, campaign_id: UUID, name: str) -> frozenset[str]:
    """The campaign's channels, with this one unless there are enough already or somebody came between."""
    async with opened(db) as connection:
        return frozenset(row[0] for row in await connection.fetch(_REGISTER, merchant_id, campaign_id, name))


async def _campaigns(connection: Any, keys: Iterable[CampaignKey]) -> dict[UUID, CampaignFacts]:
    merchants, campaigns = zip(*keys, strict=True)
    rows = await connection.fetch(_CAMPAIGNS, merchants, campaigns)
    return {_plain(row["id"]): _facts(row) for row in rows}


def _facts(row: Any) -> CampaignFacts:
    return CampaignFacts(
        merchant_id=ids.encode("mch", row["merchant_id"]),
        campaign_id=ids.encode("cmp", row["id"]),
        status=row["status"],
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        ended_at=row["ended_at"],
        clock_offset_seconds=row["clock_offset_seconds"],
        channels=frozenset(row["channels"]),
    )


def _plain(id_: UUID) -> UUID:
    """The driver has a UUID of its own kind, which no encoder knows."""
    return UUID(int=id_.int)


@asynccontextmanager
async def opened(db: Database) -> AsyncIterator[Any]:
    """The driver's own connection. Unavailable where all of them are in use."""
    try:
        async with db.lookup_engine.connect() as connection:
            yield (await connection.get_raw_connection()).driver_connection
    except asyncpg.InterfaceError as error:  # the client's own word for a connection that is gone
        raise ConnectionError(str(error)) from error
    except PoolTimeout as error:  # the database was not even asked
        raise Unavailable("lookups_busy", "Too much is being looked up. Retry.", retry_after=1) from error
