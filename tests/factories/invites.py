from __future__ import annotations

import random
from typing import Any

import httpx
from sqlalchemy import select

from app.db.outbox import OutboxEvent
from app.models import Campaign, Participant
from app.resources import Resources
from tests.factories.campaigns import make_campaign, make_participant
from tests.factories.merchants import MerchantFixture


def new_phone() -> str:
    return f"+86139{random.randrange(10**8):08d}"


async def open_campaign(resources: Resources, merchant: MerchantFixture, **values: Any) -> tuple[Campaign, Participant]:
    """A committed campaign of the test tenant, active unless `values` say otherwise, with one promoter."""
    async with resources.db.tenant(merchant.test_id) as session:
        campaign = await make_campaign(session, merchant.test_id, **values)
        return campaign, await make_participant(session, campaign)


async def sign_up(
    api: httpx.AsyncClient, campaign: Campaign, invite_code: str | None = None, **member: Any
) -> httpx.Response:
    """A new person by phone where no member is described."""
    body = {"campaign_id": campaign.id, "member": member or {"phone": new_phone()}, "invite_code": invite_code}
    return await api.post("/v1/signups", json=body)


async def events(resources: Resources, merchant: MerchantFixture) -> list[tuple[str, dict[str, Any]]]:
    """What the outbox owes the world for the test tenant, in order."""
    async with resources.db.tenant(merchant.test_id) as session:
        mine = select(OutboxEvent).where(OutboxEvent.merchant_id == merchant.test_id).order_by(OutboxEvent.id)
        return [(row.type, row.data) for row in await session.scalars(mine)]
