"""A campaign's budget: what commissions may cost in all, held against a sum that moves with them."""

from __future__ import annotations

import struct
from typing import Protocol

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.campaigns import queries
from app.kit import crypto
from app.models import Campaign, Commission, Order


class Counted(Protocol):
    """What of a campaign its sums hang on."""

    @property
    def merchant_id(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def budget_minor(self) -> int | None: ...
    @property
    def commission_minor(self) -> int: ...
    @property
    def stock(self) -> int | None: ...


async def hold(session: AsyncSession, *, merchant_id: str, campaign_id: str, stock: bool = False) -> Campaign:
    """The campaign as it stands, for an order or a refund, before any account is locked.

    Whoever moves a sum on it has the row alone: with a budget, and with `stock` where it counts that. All others only
    keep off the one who would give it a budget, and who must know what all of them earned.
    """
    await session.execute(select(func.pg_advisory_xact_lock_shared(key(campaign_id))))
    campaign = await session.get_one(Campaign, (merchant_id, campaign_id), populate_existing=True)
    if not is_counted(campaign, stock=stock):
        return campaign
    return await queries.lock(session, merchant_id=merchant_id, campaign_id=campaign_id)


async def alone(session: AsyncSession, campaign_id: str) -> None:
    """No order or refund is under way, nor begins, until the transaction ends. Taken before the campaign's row.

    Not a row lock: one that conflicts with those that foreign keys take would never come while people sign up.
    """
    await session.execute(select(func.pg_advisory_xact_lock(key(campaign_id))))


def key(campaign_id: str) -> int:
    """Of the lock that `hold` shares."""
    (number,) = struct.unpack(">q", crypto.fingerprint("campaign_budget", campaign_id)[:8])
    return int(number)


def is_counted(campaign: Counted, *, stock: bool) -> bool:
    """Whether a sum on the campaign's row moves with its orders; `stock`: where it counts that, too."""
    return campaign.budget_minor is not None or (stock and campaign.stock is not None)


def left(campaign: Counted) -> int | None:
    """None without a budget. A budget that was lowered below what is spent has nothing left."""
    if campaign.budget_minor is None:
        return None
    return max(0, campaign.budget_minor - campaign.commission_minor)


async def take(session: AsyncSession, *, campaign: Counted, amount_minor: int) -> None:
    """The caller holds the campaign, and asks for no more than is left."""
    if campaign.budget_minor is None or not amount_minor:
        return
    taken = await _move(session, campaign.merchant_id, campaign.id, amount_minor)
    if taken is None:
        raise RuntimeError(f"{amount_minor} (minor units) are more than the budget of {campaign.id} has left")


async def give_back(session: AsyncSession, *, merchant_id: str, campaign_id: str, amount_minor: int) -> None:
    """What a refund took back can be earned again. The caller holds the campaign."""
    await _move(session, merchant_id, campaign_id, -amount_minor)


async def _move(session: AsyncSession, merchant_id: str, campaign_id: str, amount_minor: int) -> int | None:
    spent = Campaign.commission_minor + amount_minor
    fits = spent <= Campaign.budget_minor if amount_minor > 0 else Campaign.budget_minor.is_not(None)
    statement = (
        update(Campaign)
        .where(Campaign.merchant_id == merchant_id, Campaign.id == campaign_id, fits)
        .values(commission_minor=spent)
        .returning(Campaign.commission_minor)
        .execution_options(synchronize_session=False)
    )
    return (await session.execute(statement)).scalar()


async def earned(session: AsyncSession, campaign: Campaign) -> int:
    """What a campaign without a budget has cost so far, added up."""
    statement = (
        select(func.coalesce(func.sum(Commission.amount_minor), 0))
        .join(Order, (Order.merchant_id == Commission.merchant_id) & (Order.id == Commission.order_id))
        .where(Order.merchant_id == campaign.merchant_id, Order.campaign_id == campaign.id)
        .where(Commission.status != "rejected")
    )
    return int((await session.execute(statement)).scalar_one())
