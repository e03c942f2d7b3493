"""Where a page is: one campaign of one merchant, found by its id alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.campaigns import queries as campaign_queries
from app.campaigns.document import RuleDocument
from app.kit import clock
from app.kit.errors import not_found
from app.models import Campaign, Merchant
from app.resources import Resources


@dataclass(frozen=True, slots=True)
class Place:
    session: AsyncSession
    merchant: Merchant
    campaign: Campaign
    rule: RuleDocument
    now: datetime


@asynccontextmanager
async def enter(resources: Resources, campaign_id: str) -> AsyncIterator[Place]:
    """A transaction in the campaign's tenant; NotFound `campaign_not_found`."""
    merchant = await merchant_of(resources, campaign_id)
    async with resources.db.tenant(merchant.id) as session:
        campaign = await campaign_queries.get(session, merchant_id=merchant.id, campaign_id=campaign_id)
        rule = await campaign_queries.get_rule(session, merchant_id=merchant.id, campaign_id=campaign_id)
        yield Place(session, merchant, campaign, rule, clock.tenant_now(merchant.clock_offset_seconds))


async def merchant_of(resources: Resources, campaign_id: str) -> Merchant:
    async with resources.db.system() as session:
        merchant_id = await campaign_queries.merchant_of(session, campaign_id)
        merchant = await session.get(Merchant, merchant_id) if merchant_id else None
    if merchant is None:
        raise not_found("campaign")
    return merchant
