from __future__ import annotations

from datetime import datetime

from app.commissions import queries
from app.commissions.service import release_due
from app.kit import clock
from app.resources import Resources
from app.worker.loop import for_each_merchant

MERCHANTS_AT_ONCE = 100


async def release_holds(resources: Resources) -> int:
    """One batch of each merchant that has holds at their end, each in a transaction of its own."""
    async with resources.db.system() as session:
        due = await queries.due_merchants(session, now=clock.utcnow(), limit=MERCHANTS_AT_ONCE)

    async def release(merchant_id: str, now: datetime) -> int:
        async with resources.db.tenant(merchant_id) as session:
            return await release_due(session, merchant_id=merchant_id, now=now)

    return await for_each_merchant("release_holds", due, release)
