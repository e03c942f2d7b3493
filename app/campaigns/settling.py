"""A campaign that is over and has nothing left to pay becomes *settled*: orders of it are taken no more.

What can bring money into it again are orders, and refunds; both share a lock by the campaign (`budget`), which is had
alone here. A refund that comes later is booked as ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app import audit
from app.campaigns import announcements, budget, queries
from app.campaigns.document import RuleDocument
from app.campaigns.rules import LATE_ORDERS, settles_at
from app.models import Campaign, CampaignRule, Checkout, Commission, Merchant, Order

_OPEN_COMMISSIONS = ("pending", "held", "payable", "in_payout")
_OPEN_CHECKOUTS = ("open", "refund_due")


async def due(session: AsyncSession, *, now: datetime) -> Sequence[tuple[str, tuple[str, datetime]]]:
    """As *system*: campaigns that may be settled, by merchant, each with its tenant's time."""
    ahead = literal(now) + Merchant.clock_offset_seconds * literal(timedelta(seconds=1))
    wanted = _over(ahead).join(Merchant, Merchant.id == Campaign.merchant_id)
    columns = wanted.add_columns(Campaign.merchant_id, Merchant.clock_offset_seconds)
    found = (await session.execute(columns)).all()
    return [(row.merchant_id, (row.id, now + timedelta(seconds=row.clock_offset_seconds))) for row in found]


async def settle_all_due(session: AsyncSession, *, merchant_id: str, now: datetime) -> int:
    """One merchant's, at its own time; how many there were."""
    found = (await session.scalars(_over(now).where(Campaign.merchant_id == merchant_id))).all()
    settled = [await settle(session, merchant_id=merchant_id, campaign_id=each, now=now) for each in found]
    return sum(settled)


async def settle(session: AsyncSession, *, merchant_id: str, campaign_id: str, now: datetime) -> bool:
    """False where something is open, or an order or a refund is under way in this moment: the next run looks again."""
    if not await session.scalar(select(func.pg_try_advisory_xact_lock(budget.key(campaign_id)))):
        return False
    campaign = await queries.lock(session, merchant_id=merchant_id, campaign_id=campaign_id)
    # The rows again, now that nobody is at them.
    if not await session.scalar(_over(now).where(Campaign.merchant_id == merchant_id, Campaign.id == campaign_id)):
        return False
    over_at, held = campaign.ended_at or campaign.ends_at, await _longest_hold(session, merchant_id, campaign_id)
    if over_at is None or now < settles_at(over_at, held_days=held):
        return False
    campaign.status = "settled"
    what: dict[str, Any] = {"actor": "schedule", "action": "campaign.settle", "subject_id": campaign.id}
    audit.record(session, merchant_id=campaign.merchant_id, **what, at=now)
    await session.flush()
    await announcements.changed(session, campaign.id)
    return True


def _over(now: datetime | ColumnElement[datetime]) -> Select[tuple[str]]:
    """Ended so long ago that no order of it may come, with no commission and no payment open."""
    of_it = and_(Order.merchant_id == Campaign.merchant_id, Order.campaign_id == Campaign.id)
    earned = and_(Commission.merchant_id == Order.merchant_id, Commission.order_id == Order.id)
    unpaid = select(Commission.id).join(Order, earned).where(of_it, Commission.status.in_(_OPEN_COMMISSIONS))
    # Each status by itself, as the indexes of checkouts have them.
    open_now = or_(*(Checkout.status == status for status in _OPEN_CHECKOUTS))
    paying = select(Checkout.id).where(
        Checkout.merchant_id == Campaign.merchant_id, Checkout.campaign_id == Campaign.id, open_now
    )
    over_at = func.coalesce(Campaign.ended_at, Campaign.ends_at)
    return (
        select(Campaign.id)
        .where(Campaign.status == "ended", over_at <= now - LATE_ORDERS, ~unpaid.exists(), ~paying.exists())
        .order_by(Campaign.id)
    )


async def _longest_hold(session: AsyncSession, merchant_id: str, campaign_id: str) -> int:
    """In days, of all versions of the rules: an order goes by the one that it was recorded under."""
    versions = select(CampaignRule.document).where(
        CampaignRule.merchant_id == merchant_id, CampaignRule.campaign_id == campaign_id
    )
    documents = (await session.scalars(versions)).all()
    return max((RuleDocument.model_validate(one).commission.held_days() for one in documents), default=0)
