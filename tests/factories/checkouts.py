"""A till on our own page: buyers, what the cashier tells, and the worker that asks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import httpx
from sqlalchemy import text

from app.kit import clock, ids
from app.models import Campaign, Checkout
from app.orders import notices, paying, selling
from app.orders.providers import sandbox_notices
from app.orders.providers.protocol import Notice, payment_key
from app.orders.selling import Wish
from app.resources import Resources
from tests.factories.shops import Shop

_TURN = text("UPDATE merchants SET clock_offset_seconds = clock_offset_seconds + :seconds WHERE id = :id")


def told(merchant_id: str, checkout_id: str, **changes: Any) -> Notice:
    """That it was paid: 59.00 yuan, a moment ago."""
    notice = Notice(
        "sandbox",
        merchant_id,
        payment_key(checkout_id),
        "paid",
        external_id=f"SANDBOX{checkout_id[-12:]}",
        amount_minor=5_900,
        currency="CNY",
        paid_at=clock.utcnow(),
    )
    return replace(notice, **changes)


@dataclass(frozen=True, slots=True)
class Desk:
    """Each step in a transaction of its own, as the edges take them."""

    resources: Resources
    shop: Shop

    @property
    def merchant_id(self) -> str:
        return self.shop.merchant_id

    async def open(self, *, once: bool = False, now: datetime | None = None, **wish: Any) -> Checkout:
        wanted = Wish(self.shop.campaign.id, **({"participant_id": self.shop.buyer.id} | wish))
        sell = selling.sell_once if once else selling.sell
        async with self.resources.db.tenant(self.merchant_id) as session:
            return await sell(
                session, merchant_id=self.merchant_id, wish=wanted, provider="sandbox", now=now or clock.utcnow()
            )

    async def begin(self, checkout: Checkout, *, now: datetime | None = None) -> None:
        async with self.resources.db.tenant(self.merchant_id) as session:
            await paying.begin(
                session,
                merchant_id=self.merchant_id,
                checkout_id=checkout.id,
                in_wechat=False,
                public_url="https://t.invitree.cn",
                payer_address="127.0.0.1",
                now=now or clock.utcnow(),
            )

    async def hear(self, checkout: Checkout, *, now: datetime | None = None, **changes: Any) -> Checkout:
        notice = told(self.merchant_id, checkout.id, **changes)
        async with self.resources.db.tenant(self.merchant_id) as session:
            return await notices.take(session, notice=notice, told_by="notification", now=now or clock.utcnow())

    async def look(self, checkout: Checkout) -> Checkout:
        async with self.resources.db.tenant(self.merchant_id) as session:
            return await session.get_one(Checkout, (self.merchant_id, checkout.id))

    async def left(self) -> int | None:
        async with self.resources.db.tenant(self.merchant_id) as session:
            return (await session.get_one(Campaign, (self.merchant_id, self.shop.campaign.id))).stock

    async def count(self, table: str) -> int:
        async with self.resources.db.tenant(self.merchant_id) as session:
            return int((await session.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one())

    async def advance(self, seconds: int) -> None:
        """The tenant's clock alone: what falls due is left to the worker."""
        async with self.resources.db.system() as session:
            await session.execute(_TURN, {"seconds": seconds, "id": ids.decode("mch", self.merchant_id)})


async def notify(http: httpx.AsyncClient, notice: Notice, **headers: str) -> httpx.Response:
    """As the cashier; `headers` in place of its own, with `_` for `-`."""
    signed, body = sandbox_notices.write(notice)
    signed |= {name.replace("_", "-"): value for name, value in headers.items()}
    return await http.post(f"/v1/payment-notifications/sandbox/{notice.merchant_id}", headers=signed, content=body)
