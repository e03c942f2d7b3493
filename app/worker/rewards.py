"""Granting what signups owe: rewards that failed, and those whose day has come."""

from __future__ import annotations

from app.kit import clock
from app.resources import Resources
from app.rewards import queries, service


async def grant_owed(resources: Resources) -> int:
    """One transaction a merchant; rows that another worker holds are left to it."""
    async with resources.db.system() as session:
        merchants = await queries.merchants_due(session)
    found = 0
    for merchant_id, offset in merchants:
        async with resources.db.tenant(merchant_id) as session:
            found += await service.grant_due(session, merchant_id=merchant_id, now=clock.tenant_now(offset))
    return found
