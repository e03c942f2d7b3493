"""What the pages of one checkout have in common: it, in a transaction of its tenant, and who looks at it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncSession

from app.api.deps import ResourcesDep
from app.api.ratelimit import Policy, spend
from app.kit import clock
from app.models import Checkout, Member, Merchant, Order
from app.orders import checkout as checkouts
from app.orders import checkout_rules, paying
from app.orders.providers import credentials
from app.resources import Resources


@dataclass(frozen=True, slots=True)
class Till:
    """A checkout's page, in a transaction of its tenant."""

    session: AsyncSession
    merchant: Merchant
    member: Member
    checkout: Checkout
    now: datetime

    @property
    def is_open(self) -> bool:
        return self.checkout.status == "open" and self.now < self.checkout.expires_at

    @property
    def is_asked(self) -> bool:
        """Over, and its provider may still tell of a payment."""
        is_due = self.checkout.status in {"open", "expired"} and self.checkout.due_at is not None
        return not self.is_open and is_due and self.checkout.started_at is not None

    async def refunded_minor(self) -> int:
        """Of what was bought."""
        order = await self.session.get(Order, (self.merchant.id, self.checkout.id))
        return 0 if order is None else order.refunded_minor

    @property
    def has_openid(self) -> bool:
        return (self.checkout.payer_openid or self.member.openid) is not None

    @property
    def wants_openid(self) -> bool:
        """As long as nobody has begun to pay another way."""
        is_wechats = self.checkout.provider == credentials.KIND
        return is_wechats and not self.has_openid and self.checkout.started_at is None

    def can_pay(self, request: Request) -> bool:
        """Whether this browser can go the way that the payment goes."""
        kind, way = self.checkout.provider, self.checkout.way
        own = checkout_rules.way(kind, in_wechat=in_wechat(request), has_openid=self.has_openid)
        return own is not None and way in (None, own)


@asynccontextmanager
async def enter_till(resources: Resources, checkout_id: str) -> AsyncIterator[Till]:
    """NotFound `checkout_not_found`."""
    async with resources.db.system() as session:
        merchant = await paying.merchant_of(session, checkout_id)
    async with resources.db.tenant(merchant.id) as session:
        checkout = await checkouts.get(session, merchant_id=merchant.id, checkout_id=checkout_id)
        member = await session.get_one(Member, (merchant.id, checkout.member_id))
        yield Till(session, merchant, member, checkout, clock.tenant_now(merchant.clock_offset_seconds))


async def limit_presses(checkout_id: str, request: Request, resources: ResourcesDep) -> None:
    """Each asks the merchant's provider something, which counts what it is asked; the link is all that it takes."""
    await spend(request, resources, Policy("pay", 20, 60), of=checkout_id)


def in_wechat(request: Request) -> bool:
    return "micromessenger" in request.headers.get("user-agent", "").lower()
