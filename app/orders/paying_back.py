"""Refunds of what was paid on our own page, carried to its provider: claim, ask, record. Over all tenants.

The call stands between two transactions, by a key that was there before: asked again, it gives nothing twice. Locks are
taken in this order: the refund, then its checkout.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit import clock, crypto, ids
from app.models import Checkout, Merchant, PaymentProvider, Refund
from app.orders import checkout_rules as rules
from app.orders import claims
from app.orders.claims import Claim
from app.orders.providers import credentials
from app.orders.providers.protocol import Payback, RefundState, payment_key

OVER = ("refunded", "paid_otherwise")
REASONS = {"order": "商家退款", "plan": "套餐退款", "top_up": "佣金预存退款"}


@dataclass(frozen=True, slots=True)
class Turn:
    """`parked`: why it cannot be asked for by the merchant's present account, as a code. `order_id`: of an order."""

    claim: Claim
    kind: str
    row: PaymentProvider | None
    parked: str | None
    payback: Payback
    order_id: str | None
    is_house: bool
    now: datetime


async def owe(
    session: AsyncSession,
    *,
    checkout: Checkout,
    amount_minor: int,
    now: datetime,
    external_refund_id: str | None = None,
) -> Refund:
    """Money of a checkout without an order, which the caller holds. All of it where it bought nothing."""
    refund_id = ids.new("rfd")
    refund = Refund(
        merchant_id=checkout.merchant_id,
        id=refund_id,
        checkout_id=checkout.id,
        external_order_id=checkout.id,
        external_refund_id=external_refund_id or refund_id,
        content_hash=crypto.fingerprint("payback", checkout.id, str(amount_minor)),
        amount_minor=amount_minor,
        currency=checkout.currency,
        lines=[],
        status="applied",
        refunded_at=now,
        payback="due",
        due_at=now,
        created_at=now,
    )
    session.add(refund)
    await session.flush()
    return refund


async def owed_minor(session: AsyncSession, *, checkout: Checkout, payback: tuple[str, ...] | None = None) -> int:
    """What goes back of a checkout without an order, in all; or what has gone."""
    total = select(func.coalesce(func.sum(Refund.amount_minor), 0)).where(
        Refund.merchant_id == checkout.merchant_id, Refund.checkout_id == checkout.id
    )
    return int(await session.scalar(total if payback is None else total.where(Refund.payback.in_(payback))) or 0)


async def claim(session: AsyncSession, *, limit: int, seconds: int) -> list[Claim]:
    return await claims.claim(session, Refund, limit=limit, seconds=seconds)


async def prepare(session: AsyncSession, claim: Claim) -> Turn | None:
    """None where the claim is not the newest one any more, or the money has gone back."""
    refund = await session.get_one(Refund, (claim.merchant_id, claim.row_id))
    if refund.attempts != claim.number or refund.payback in OVER:
        return None
    checkout = await _checkout_of(session, refund)
    merchant = await session.get_one(Merchant, claim.merchant_id)
    row = await credentials.find(session, merchant_id=claim.merchant_id)
    return Turn(
        claim,
        kind=checkout.provider,
        row=row,
        parked=_obstacle(row, checkout),
        payback=Payback(
            payment_key(checkout.id),
            _refund_key(refund),
            refund.amount_minor,
            checkout.amount_minor,
            checkout.currency,
            REASONS[checkout.purpose] if checkout.status != "refund_due" else "付款到账时商品已不能购买",
        ),
        order_id=refund.order_id,
        is_house=merchant.is_house,
        now=clock.tenant_now(merchant.clock_offset_seconds),
    )


async def record(session: AsyncSession, turn: Turn, state: RefundState | Literal["parked"]) -> None:
    """Whatever is not `refunded` is looked at again, ever slower: to refuse is a provider's word of today, and an
    account may come back."""
    refund = await hold(session, merchant_id=turn.claim.merchant_id, refund_id=turn.claim.row_id)
    if refund.attempts != turn.claim.number or refund.payback in OVER:
        return
    refund.payback, refund.leased_until = state, None
    refund.payback_reason = turn.parked if state == "parked" else None
    if state == "refunded":
        await settle(session, refund=refund, payback="refunded", now=turn.now)
    else:
        refund.due_at = rules.next_refund_look(turn.now, attempts=refund.attempts)
    await session.flush()


async def hold(session: AsyncSession, *, merchant_id: str, refund_id: str) -> Refund:
    """As it stands now, and nobody else's to move until the transaction ends."""
    return await session.get_one(Refund, (merchant_id, refund_id), with_for_update=True, populate_existing=True)


async def settle(
    session: AsyncSession, *, refund: Refund, payback: Literal["refunded", "paid_otherwise"], now: datetime
) -> None:
    """The money has gone back. A checkout without an order is refunded once all of it has."""
    refund.payback, refund.paid_back_at = payback, now
    refund.due_at = refund.leased_until = refund.payback_reason = None
    await session.flush()
    if refund.checkout_id is None:
        return
    key = (refund.merchant_id, refund.checkout_id)
    checkout = await session.get_one(Checkout, key, with_for_update=True, populate_existing=True)
    if await owed_minor(session, checkout=checkout, payback=OVER) == checkout.amount_minor:
        checkout.status, checkout.refunded_at = "refunded", now
        await session.flush()


async def try_again(session: AsyncSession, *, refund: Refund, now: datetime) -> None:
    """At once. What its provider has closed is another refund there, of another key; where the account was not written
    down, the present one is taken for it."""
    if refund.payback == "refused":
        refund.payback_round += 1
    checkout, row = await _checkout_of(session, refund), await credentials.find(session, merchant_id=refund.merchant_id)
    if refund.payback == "parked" and checkout.provider_account is None and row is not None:
        checkout.provider_account = credentials.account(row)
    refund.payback, refund.payback_reason, refund.due_at = "due", None, now
    await session.flush()


async def _checkout_of(session: AsyncSession, refund: Refund) -> Checkout:
    return await session.get_one(Checkout, (refund.merchant_id, refund.checkout_id or refund.order_id))


def _obstacle(row: PaymentProvider | None, checkout: Checkout) -> str | None:
    """One number means another payment with each account: none but the one that took it is asked."""
    if checkout.provider != credentials.KIND:
        return None
    if row is None:
        return "payment_account_missing"
    return None if credentials.has_taken(row, checkout) else "payment_account_changed"


def _refund_key(refund: Refund) -> str:
    return payment_key(refund.id) + (f"r{refund.payback_round}" if refund.payback_round else "")
