from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
from sqlalchemy import select

from app.models import OutboxEvent
from app.resources import Resources
from tests.factories import MerchantFixture, make_campaign, make_participant


async def test_a_friend_brings_thirty_days_to_both_sides(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    async with resources.db.tenant(merchant.test_id) as session:
        campaign = await make_campaign(session, merchant.test_id)
        inviter = await make_participant(session, campaign)
    answer = await api.post(
        "/v1/signups",
        json={
            "campaign_id": campaign.id,
            "member": {"phone": "138 1234 5678"},
            "invite_code": inviter.invite_code.upper(),
        },
    )
    assert answer.status_code == 201, answer.text
    print(answer.json())
