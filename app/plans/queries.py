from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit.errors import not_found
from app.models import Merchant, Plan, PlanPurchase
from app.plans import rules
from app.plans.rules import Standing


async def catalogue(session: AsyncSession) -> Sequence[Plan]:
    """Every plan, the cheapest first; the same whether asked as a tenant or as *system*."""
    return (await session.scalars(select(Plan).order_by(Plan.price_minor, Plan.key))).all()


async def standing(session: AsyncSession, *, merchant_id: str, now: datetime) -> Standing:
    """The plan in force at `now`, by the merchant's clock. The house owes itself no fee."""
    base, is_house = await _base(session, merchant_id)
    return Standing(base.plan, 0) if is_house else await _standing(session, merchant_id, base, now)


async def for_sale(session: AsyncSession, *, key: str) -> Plan:
    """As *system* or as any tenant. NotFound `plan_not_found` for one that has no price, too."""
    plan = await session.get(Plan, key)
    if plan is None or plan.price_minor == 0:
        raise not_found("plan")
    return plan


async def _base(session: AsyncSession, merchant_id: str) -> tuple[Standing, bool]:
    """What a merchant is on without having bought anything."""
    statement = (
        select(Plan.key, Plan.platform_fee_bps, Merchant.is_house)
        .join(Merchant, Merchant.plan == Plan.key)
        .where(Merchant.id == merchant_id)
    )
    row = (await session.execute(statement)).one()
    return Standing(row.key, row.platform_fee_bps), row.is_house


async def _standing(session: AsyncSession, merchant_id: str, base: Standing, now: datetime) -> Standing:
    purchases = await session.scalars(select(PlanPurchase).where(PlanPurchase.merchant_id == merchant_id))
    return rules.standing(base, purchases.all(), now=now)
