"""A test tenant's own clock, which is how holds and expiries are tried out."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit.errors import Forbidden
from app.models import Merchant


async def advance(session: AsyncSession, *, merchant_id: str, livemode: bool, now: datetime, seconds: int) -> datetime:
    """The new time. What has fallen due by then is done in the same transaction."""
    if livemode:
        raise Forbidden("test_mode_only", "Only a test key has a clock to move.")
    moved = update(Merchant).where(Merchant.id == merchant_id)
    await session.execute(moved.values(clock_offset_seconds=Merchant.clock_offset_seconds + seconds))
    return now + timedelta(seconds=seconds)
