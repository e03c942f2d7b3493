from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit import clock, ids
from app.ledger.verify import verify
from app.models import Campaign, Participant
from app.resources import Resources
from tests.factories.campaigns import make_campaign, make_participant
from tests.factories.merchants import MerchantFixture


@dataclass(frozen=True, slots=True)
class Shop:
    """A committed campaign with a chain of three: `second` invited `first`, who invited the `buyer`."""

    merchant_id: str
    campaign: Campaign
    second: Participant
    first: Participant
    buyer: Participant

    def order(self, **changes: Any) -> dict[str, Any]:
        """A body for POST /v1/orders; 59.00 yuan, paid a minute ago."""
        return {
            "campaign_id": self.campaign.id,
            "participant_id": self.buyer.id,
            "external_order_id": ids.new("ext"),
            "amount_minor": 5_900,
            "currency": "CNY",
            "paid_at": (clock.utcnow() - timedelta(minutes=1)).isoformat(),
            **changes,
        }


async def make_shop(session: AsyncSession, merchant_id: str, **campaign: Any) -> Shop:
    made = await make_campaign(session, merchant_id, **campaign)
    second = await make_participant(session, made)
    first = await make_participant(session, made, inviter=second)
    buyer = await make_participant(session, made, inviter=first)
    return Shop(merchant_id, made, second, first, buyer)


async def open_shop(resources: Resources, merchant: MerchantFixture, **campaign: Any) -> Shop:
    """A shop of the test tenant, there for every connection."""
    async with resources.db.tenant(merchant.test_id) as session:
        return await make_shop(session, merchant.test_id, **campaign)


@dataclass(frozen=True, slots=True)
class Till:
    """Calls that move money, each with an Idempotency-Key of its own."""

    api: httpx.AsyncClient
    resources: Resources = field(repr=False)
    shop: Shop

    async def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        return await self.api.post(path, json=body, headers={"Idempotency-Key": ids.new("key")})

    async def sell(self, **changes: Any) -> dict[str, Any]:
        return _made(await self.post("/v1/orders", self.shop.order(**changes)))

    async def refund(self, order_id: str, amount_minor: int, **more: Any) -> httpx.Response:
        body = {"external_refund_id": ids.new("ext"), "amount_minor": amount_minor, **more}
        return await self.post(f"/v1/orders/{order_id}/refunds", body)

    async def refunded(self, order_id: str, amount_minor: int, **more: Any) -> dict[str, Any]:
        return _made(await self.refund(order_id, amount_minor, **more))

    async def get(self, path: str, **query: Any) -> dict[str, Any]:
        answer = await self.api.get(path, params=query)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def balance(self, participant: Participant) -> tuple[int, int]:
        """Held and payable."""
        found = await self.get(f"/v1/members/{participant.member_id}/balance")
        return found["held_minor"], found["payable_minor"]

    async def wait_days(self, count: int) -> None:
        answer = await self.api.post("/v1/test-clock", json={"advance_seconds": count * clock.DAY_SECONDS})
        assert answer.status_code == 200, answer.text

    async def check_books(self) -> None:
        async with self.resources.db.tenant(self.shop.merchant_id) as session:
            report = await verify(session, merchant_id=self.shop.merchant_id)
        assert report.differences == []


def _made(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made
