"""Pieces of a campaign's product that are left to sell. The campaign's row guards them: it is taken before any account.

Below zero is what was sold elsewhere and reported although nothing was left. Whatever comes back fills that hole first.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit.errors import Conflict
from app.models import Campaign


async def reserve(session: AsyncSession, *, merchant_id: str, campaign_id: str, pieces: int) -> int:
    """How many were taken: all of them, or 0 where the campaign does not count. Conflict `out_of_stock`."""
    left = await _move(session, merchant_id, campaign_id, -pieces, Campaign.stock >= pieces)
    if left is not None:
        return pieces
    campaign = await session.get_one(Campaign, (merchant_id, campaign_id), populate_existing=True)
    if campaign.stock is None:
        return 0
    raise Conflict("out_of_stock", "The campaign's stock is sold, or held by people who are paying.")


async def report(session: AsyncSession, *, merchant_id: str, campaign_id: str, pieces: int) -> int:
    """As `reserve`, of what was sold elsewhere and is paid: it is never refused, and may leave less than nothing."""
    left = await _move(session, merchant_id, campaign_id, -pieces, Campaign.stock.is_not(None))
    return 0 if left is None else pieces


async def give_back(session: AsyncSession, *, merchant_id: str, campaign_id: str, pieces: int) -> None:
    if pieces:
        await _move(session, merchant_id, campaign_id, pieces, Campaign.stock.is_not(None))


async def _move(session: AsyncSession, merchant_id: str, campaign_id: str, by: int, guard: Any) -> int | None:
    statement = (
        update(Campaign)
        .where(Campaign.merchant_id == merchant_id, Campaign.id == campaign_id, guard)
        .values(stock=Campaign.stock + by)
        .returning(Campaign.stock)
        .execution_options(synchronize_session=False)
    )
    return (await session.execute(statement)).scalar()
