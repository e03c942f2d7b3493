from __future__ import annotations

from datetime import datetime

from app.campaigns import schedule, settling
from app.kit import clock
from app.resources import Resources
from app.worker.loop import for_each_merchant


async def turn_due_campaigns(resources: Resources) -> int:
    async with resources.db.system() as session:
        return await schedule.turn_due(session, now=clock.utcnow())


async def settle_campaigns(resources: Resources) -> int:
    """Each in a transaction of its own."""
    async with resources.db.system() as session:
        due = await settling.due(session, now=clock.utcnow())

    async def settle(merchant_id: str, one: tuple[str, datetime]) -> int:
        campaign_id, now = one
        async with resources.db.tenant(merchant_id) as session:
            return int(await settling.settle(session, merchant_id=merchant_id, campaign_id=campaign_id, now=now))

    return await for_each_merchant("settle_campaigns", due, settle)
