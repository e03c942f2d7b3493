"""What of a campaign's product a participant sees on its own page: the offer, and what it has bought."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from app.campaigns.rules import OPEN, status_at
from app.db.pages import PageQuery
from app.kit import clock
from app.models import Campaign, Checkout, Merchant, Participant
from app.orders import checkout_queries, selling

SHOWN = PageQuery(limit=5)


@dataclass(frozen=True, slots=True)
class Shop:
    campaign: Campaign
    is_open: bool
    bought: Sequence[Checkout]

    @property
    def is_sold_out(self) -> bool:
        return self.campaign.stock is not None and self.campaign.stock <= 0


async def look(session: AsyncSession, *, campaign: Campaign, participant: Participant) -> Shop:
    merchant = await session.get_one(Merchant, campaign.merchant_id)
    now = clock.tenant_now(merchant.clock_offset_seconds)
    page = await checkout_queries.find_page(
        session, merchant_id=campaign.merchant_id, query=SHOWN, equals={"participant_id": participant.id}
    )
    is_open = selling.is_for_sale(campaign) and status_at(campaign, now) in OPEN["order"] | {"paused"}
    return Shop(campaign, is_open, page.rows)
