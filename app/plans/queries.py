from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit.errors import not_found
from app.models import Merchant, Plan, PlanPurchase
from app.plans import rules
from app.plans.rules import Standing

# Each order asks it, and writing it down takes longer than asking.
_TERMS = (
    select(Plan.key, Plan.platform_fee_bps, Merchant.is_house, PlanPurchase)
    .select_from(Merchant)
    .join(Plan, Plan.key == Merchant.plan)
    .outerjoin(PlanPurchase, PlanPurchase.merchant_id == Merchant.id)
    .where(Merchant.id == bindparam("merchant_id"))
)


async def catalogue(session: AsyncSession) -> Sequence[Plan]:
    """Every plan, the cheapest first; the same whether asked as a tenant or as *system*."""
    return (await session.scalars(select(Plan).order_by(Plan.price_minor, Plan.key))).all()


async def for_sale(session: AsyncSession, *, key: str) -> Plan:
    """As *system* or as any tenant. NotFound `plan_not_found` for one that has no price, too."""
    plan = await session.get(Plan, key)
    if plan is None or plan.price_minor == 0:
        raise not_found("plan")
    return plan


async def standing(session: AsyncSession, *, merchant_id: str, now: datetime) -> Standing:
    """The plan in force at `now`, by the merchant's clock."""
    base, purchases = await terms(session, merchant_id=merchant_id)
    return rules.standing(base, purchases, now=now)


async def terms(session: AsyncSession, *, merchant_id: str) -> tuple[Standing, Sequence[PlanPurchase]]:
    """What a merchant is on without having bought anything, and what it has bought."""
    rows = (await session.execute(_TERMS, {"merchant_id": merchant_id})).all()
    key, platform_fee_bps, is_house, _ = rows[0]
    # The house would owe it to itself.
    base = Standing(key, 0 if is_house else platform_fee_bps)
    return base, [row.PlanPurchase for row in rows if row.PlanPurchase is not None]
