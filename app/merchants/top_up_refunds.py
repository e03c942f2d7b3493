"""What a merchant has paid in by a checkout of the house, given back: out of its funds, then by the provider."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import audit
from app.kit.errors import Conflict, FieldError, Unprocessable, not_found
from app.ledger import funds
from app.merchants import accounts, house
from app.models import Checkout, Merchant, Refund
from app.orders import checkout as checkouts
from app.orders import paying_back


async def refund(
    session: AsyncSession,
    *,
    merchant_id: str,
    checkout_id: str,
    amount_minor: int,
    reference: str,
    actor: str,
    now: datetime,
) -> tuple[Refund, bool]:
    """As *system*, by a person of the platform; `now` is the real time. The refund, and whether it is new.

    NotFound `checkout_not_found`; Conflict `checkout_not_paid`, `reference_reused`, `funds_insufficient`: what is put
    aside for payouts or owed to the platform stays; Unprocessable `refund_exceeds_paid`.
    """
    await house.require_finance(session, user_id=actor)
    merchant = (await accounts.get(session, merchant_id=merchant_id)).merchant
    checkout = await _hold(session, merchant, checkout_id)
    known = await _known(session, checkout, reference)
    if known is not None:
        if known.amount_minor != amount_minor:
            raise Conflict("reference_reused", f"{reference} gave something else back before; nothing changed.")
        return known, False
    left = checkout.amount_minor - await paying_back.owed_minor(session, checkout=checkout)
    if amount_minor > left:
        detail = f"Of this top-up {left} (minor units) are left to refund."
        raise Unprocessable("refund_exceeds_paid", detail, errors=[FieldError("/amount_minor", "too_large", detail)])
    made = await paying_back.owe(
        session, checkout=checkout, amount_minor=amount_minor, now=now, external_refund_id=_name(checkout, reference)
    )
    own_now = now + timedelta(seconds=merchant.clock_offset_seconds)
    terms: dict[str, Any] = {"amount_minor": amount_minor, "currency": checkout.currency}
    await funds.withdraw(session, merchant_id=merchant.id, reference=made.id, **terms, occurred_at=own_now)
    detail_of = {**terms, "checkout": checkout.id, "reference": reference, "merchant": merchant.id}
    for tenant in (merchant.id, checkout.merchant_id):
        audit.record(
            session,
            merchant_id=tenant,
            actor=actor,
            action="funds.top_up_refunded",
            subject_id=merchant.id,
            detail=detail_of,
        )
    await session.flush()
    return made, True


async def _hold(session: AsyncSession, merchant: Merchant, checkout_id: str) -> Checkout:
    """A top-up of this merchant's, which is there in its funds."""
    house_id = await house.id_of(session, livemode=merchant.livemode)
    if house_id is None or merchant.house_member_id is None:
        raise not_found("checkout")
    checkout = await checkouts.hold(session, merchant_id=house_id, checkout_id=checkout_id)
    if checkout.purpose != "top_up" or checkout.member_id != merchant.house_member_id:
        raise not_found("checkout")
    if checkout.applied_at is None:
        raise Conflict("checkout_not_paid", f"The top-up is {checkout.status}: there is nothing to give back.")
    return checkout


async def _known(session: AsyncSession, checkout: Checkout, reference: str) -> Refund | None:
    name = _name(checkout, reference)
    same = select(Refund).where(Refund.merchant_id == checkout.merchant_id, Refund.external_refund_id == name)
    return (await session.scalars(same)).one_or_none()


def _name(checkout: Checkout, reference: str) -> str:
    """The house's refunds are of many merchants, who may name them alike."""
    return f"{checkout.id}:{reference}"
