"""One lock a merchant for everything that changes which payout is in which batch."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

# Rows alone would not do: two builds would wait for each other's withdrawals, and a withdrawal that is being cancelled
# may be put into a batch that its canceller cannot see yet. Unique keys stay the last word.
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('payouts:' || :merchant_id, 0))")


async def lock_batches(session: AsyncSession, merchant_id: str) -> None:
    await session.execute(_LOCK, {"merchant_id": merchant_id})
