from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.campaigns import queries
from app.campaigns import service as campaigns
from app.campaigns.document import CommissionLevel, CommissionRule
from app.campaigns.drafting import CampaignFields
from app.kit import clock
from app.merchants import buying, purchases
from app.merchants import house as houses
from app.models import Checkout
from app.orders import checkout as checkouts
from app.orders.providers.protocol import Notice, payment_key
from app.resources import Resources
from tests.factories.forms import new_phone
from tests.factories.merchants import client_with


@dataclass(frozen=True)
class Registered:
    """A merchant as it comes to the platform: 30 days, a live and a test key."""

    live_id: str
    test_id: str
    live: httpx.AsyncClient
    test: httpx.AsyncClient
    invite_code: str
    sandbox_code: str

    def id(self, *, live: bool) -> str:
        return self.live_id if live else self.test_id

    def api(self, *, live: bool) -> httpx.AsyncClient:
        return self.live if live else self.test


@dataclass(frozen=True)
class House:
    """Registers merchants, sells to them, and is told of payments."""

    app: FastAPI
    http: httpx.AsyncClient
    resources: Resources

    async def register(self, *, invite_code: str | None = None) -> Registered:
        body = {"name": "清茶书社", "phone": new_phone()} | ({"invite_code": invite_code} if invite_code else {})
        answer = await self.http.post("/v1/merchants", json=body)
        assert answer.status_code == 201, answer.text
        made = answer.json()
        live, test = client_with(self.app, made["secret_key"]), client_with(self.app, made["test_secret_key"])
        return Registered(made["id"], made["twin_id"], live, test, made["invite_code"], made["sandbox_code"])

    async def open_plan(self, merchant_id: str, key: str = "pro_month") -> Checkout:
        async with self.resources.db.system() as session:
            now = clock.utcnow()
            return await buying.open_plan(session, merchant_id=merchant_id, key=key, sandbox_for_live=True, now=now)

    async def pay(self, checkout: Checkout, *, now: datetime | None = None) -> bool:
        """As a notification does: settled and given in one transaction."""
        async with self.resources.db.system() as session:
            now = now or clock.utcnow()
            paid = await checkouts.settle(session, notice=notice(checkout, now), now=now)
            return await purchases.complete(session, checkout=paid, now=now)

    async def buy(self, merchant_id: str, key: str = "pro_month") -> Checkout:
        checkout = await self.open_plan(merchant_id, key)
        assert await self.pay(checkout)
        return checkout

    async def top_up(self, merchant_id: str, amount_minor: int) -> Checkout:
        async with self.resources.db.system() as session:
            wanted: dict[str, Any] = {"amount_minor": amount_minor, "currency": "CNY", "sandbox_for_live": True}
            opened = await buying.open_top_up(session, merchant_id=merchant_id, **wanted, now=clock.utcnow())
        assert await self.pay(opened)
        return opened

    @asynccontextmanager
    async def paying_inviters(self) -> AsyncIterator[None]:
        """While its campaign gives 20 % of a plan to who brought the merchant."""
        async with self.resources.db.system() as session:
            house_id = await houses.live_id(session) or ""
            campaign_id = await houses.campaign_id(session, merchant_id=house_id)
            before = await queries.get_rule(session, merchant_id=house_id, campaign_id=campaign_id)
        key: dict[str, Any] = {"merchant_id": house_id, "campaign_id": campaign_id, "actor": "system"}

        async def change(rule: CommissionRule) -> None:
            fields: CampaignFields = {"commission": rule}
            async with self.resources.db.system() as session:
                await campaigns.change(session, **key, fields=fields, now=clock.utcnow())

        await change(CommissionRule(levels=(CommissionLevel(level=1, rate_bps=2_000),)))
        try:
            yield
        finally:
            await change(before.commission)


def notice(checkout: Checkout, now: datetime) -> Notice:
    return Notice(
        provider="sandbox",
        merchant_id=checkout.merchant_id,
        key=payment_key(checkout.id),
        state="paid",
        external_id=f"sbx-{checkout.id}",
        amount_minor=checkout.amount_minor,
        currency=checkout.currency,
        paid_at=now,
    )


@pytest.fixture
def house(app: FastAPI, http: httpx.AsyncClient, resources: Resources) -> House:
    return House(app, http, resources)
