"""Refunds of what was paid on our own page, carried to its provider: claim, ask, record. Over all tenants.

The call stands between two transactions, by a key that was there before: asked again, it gives nothing twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.kit import clock
from app.models import Checkout, Merchant, PaymentProvider, Refund
from app.orders import checkout_rules as rules
from app.orders import claims
from app.orders.claims import Claim
from app.orders.providers import credentials
from app.orders.providers.protocol import Payback, RefundState, payment_key


@dataclass(frozen=True, slots=True)
class Turn:
    claim: Claim
    kind: str
    row: PaymentProvider | None
    payback: Payback
    order_id: str
    is_house: bool
    now: datetime


async def claim(session: AsyncSession, *, limit: int, seconds: int) -> list[Claim]:
    return await claims.claim(session, Refund, limit=limit, seconds=seconds)


async def prepare(session: AsyncSession, claim: Claim) -> Turn:
    refund = await session.get_one(Refund, (claim.merchant_id, claim.row_id))
    checkout = await session.get_one(Checkout, (claim.merchant_id, refund.order_id))
    merchant = await session.get_one(Merchant, claim.merchant_id)
    return Turn(
        claim,
        kind=checkout.provider,
        row=await credentials.find(session, merchant_id=claim.merchant_id),
        payback=Payback(
            payment_key(checkout.id),
            payment_key(refund.id),
            refund.amount_minor,
            checkout.amount_minor,
            checkout.currency,
            "商家退款",
        ),
        order_id=checkout.id,
        is_house=merchant.is_house,
        now=clock.tenant_now(merchant.clock_offset_seconds),
    )


async def record(session: AsyncSession, turn: Turn, state: RefundState) -> None:
    """Whatever is not `refunded` is asked for again, ever slower: to refuse is a provider's word of today."""
    key = (turn.claim.merchant_id, turn.claim.row_id)
    refund = await session.get_one(Refund, key, with_for_update=True, populate_existing=True)
    if refund.attempts != turn.claim.number or refund.payback == "refunded":
        return
    refund.payback, refund.leased_until = state, None
    if state == "refunded":
        refund.paid_back_at, refund.due_at = turn.now, None
    else:
        refund.due_at = rules.next_refund_look(turn.now, attempts=refund.attempts)
    await session.flush()
