"""Granting what signups owe: rewards that failed, and those whose day has come."""

from __future__ import annotations

from app.kit import clock
from app.resources import Resources
from app.rewards import queries, service
from app.worker.loop import for_each_merchant


async def grant_owed(resources: Resources) -> int:
    """One transaction a merchant; rows that another worker holds are left to it."""
    async with resources.db.system() as session:
        merchants = await queries.merchants_due(session)

    async def grant(merchant_id: str, offset: int) -> int:
        async with resources.db.tenant(merchant_id) as session:
            return await service.grant_due(session, merchant_id=merchant_id, now=clock.tenant_now(offset))

    return await for_each_merchant("grant_owed_rewards", merchants, grant)
