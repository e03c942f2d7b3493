"""A test tenant's own clock, which is how holds and expiries are tried out."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from app.campaigns import announcements
from app.campaigns.service import turn_due
from app.campaigns.settling import settle_all_due
from app.commissions.service import release_all_due
from app.kit import clock
from app.kit.errors import Forbidden, Unprocessable
from app.models import Merchant
from app.orders.checkout import expire_all_due
from app.rewards.service import grant_all_due

# The column counts seconds in 31 bits, and instants of the API end with the year 2199.
MOST_AHEAD = 50 * 366 * clock.DAY_SECONDS


async def advance(session: AsyncSession, *, merchant_id: str, livemode: bool, seconds: int) -> datetime:
    """The new time. What has fallen due by then is done in the same transaction.

    Forbidden `test_mode_only`; Unprocessable `clock_too_far` where it would run ahead by more than 50 years.
    """
    if livemode:
        raise Forbidden("test_mode_only", "Only a test key has a clock to move.")
    moved = update(Merchant).where(Merchant.id == merchant_id, Merchant.clock_offset_seconds <= MOST_AHEAD - seconds)
    moved = moved.values(clock_offset_seconds=Merchant.clock_offset_seconds + seconds)
    # As it stands now, under the row's lock: another move may have come between this request's start and here.
    offset = await session.scalar(moved.returning(Merchant.clock_offset_seconds))
    if offset is None:
        raise Unprocessable("clock_too_far", "A test clock runs ahead by at most 50 years.")
    await announcements.changed(session, merchant_id)
    later = clock.tenant_now(offset)
    await _catch_up(session, merchant_id, later)
    return later


async def _catch_up(session: AsyncSession, merchant_id: str, now: datetime) -> None:
    """Everything that the worker would find due by now; money before days, as orders lock them."""
    while await turn_due(session, merchant_id=merchant_id, now=now):
        pass
    await expire_all_due(session, merchant_id=merchant_id, now=now)
    await release_all_due(session, merchant_id=merchant_id, now=now)
    await grant_all_due(session, merchant_id=merchant_id, now=now)
    await settle_all_due(session, merchant_id=merchant_id, now=now)
