from __future__ import annotations

from app.campaigns import schedule
from app.kit import clock
from app.resources import Resources


async def turn_due_campaigns(resources: Resources) -> int:
    async with resources.db.system() as session:
        return await schedule.turn_due(session, now=clock.utcnow())
