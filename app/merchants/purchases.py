"""Giving what a paid checkout of the house has bought, once, however often its payment is told; and taking it back."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app import audit
from app.campaigns import budget
from app.kit import logging
from app.kit.errors import Conflict, InvitreeError
from app.ledger import funds
from app.ledger import service as ledger
from app.models import Checkout, Merchant, Order, Participant, PlanPurchase
from app.orders import checkout as checkouts
from app.orders.checkout import record_order
from app.rewards import memberships

log = logging.get(__name__)
ACTOR = "checkout"


async def complete(session: AsyncSession, *, checkout: Checkout, now: datetime) -> bool:
    """As *system*, of a checkout that the caller holds; `now` the real time. False where it was given before.

    Conflict `checkout_not_paid`.
    """
    if checkout.purpose not in _GIVE or checkout.status != "paid" or checkout.paid_at is None:
        raise Conflict("checkout_not_paid", f"The checkout is a {checkout.status} {checkout.purpose}.")
    buyer = await _buyer(session, checkout)
    is_new = checkout.applied_at is None and await _GIVE[checkout.purpose](session, checkout, buyer, now)
    checkout.applied_at = checkout.applied_at or now
    await session.flush()
    return is_new


async def take_back(session: AsyncSession, *, merchant_id: str, order_id: str, now: datetime) -> bool:
    """As *system*, of an order of the house, `now` the real time: a plan ends, and its days are cut from the tail
    of the paid ones that are not used yet, once nothing is left of its sale. False where that is not so, or was done
    before."""
    checkout = await checkouts.hold(session, merchant_id=merchant_id, checkout_id=order_id)
    order = await session.get_one(Order, (merchant_id, order_id), populate_existing=True)
    if checkout.purpose != "plan" or order.status != "refunded":
        return False
    buyer = await _buyer(session, checkout)
    end = update(PlanPurchase).where(PlanPurchase.id == checkout.id, PlanPurchase.ended_at.is_(None))
    ended = await session.scalars(end.values(ended_at=_clock(buyer, now)).returning(PlanPurchase.id))
    if not ended.all():
        return False
    who = (merchant_id, checkout.member_id)
    locked = await memberships.lock(session, merchant_id=merchant_id, member_ids=[checkout.member_id])
    terms: dict[str, Any] = {"days": -checkout.meta["days"], "paid": True, "now": _clock(buyer, now)}
    cut = memberships.make_grant(*who, "revocation", checkout.id, **terms)
    await memberships.append(session, locked, [cut])
    _audit(session, checkout, buyer, "plan.refunded", dict(checkout.meta))
    await session.flush()
    return True


async def _top_up(session: AsyncSession, checkout: Checkout, buyer: Merchant, now: datetime) -> bool:
    is_new = await funds.received(
        session,
        merchant_id=buyer.id,
        source="top_up",
        reference=checkout.id,
        amount_minor=checkout.amount_minor,
        currency=checkout.currency,
        occurred_at=_clock(buyer, now),
    )
    if is_new:
        _audit(session, checkout, buyer, "funds.topped_up", {})
    return is_new


async def _plan(session: AsyncSession, checkout: Checkout, buyer: Merchant, now: datetime) -> bool:
    if not await _claim(session, checkout, buyer, now):
        return False
    await _lock(session, checkout)
    refusal = await _sell(session, checkout, now)
    await memberships.extend(
        session,
        merchant_id=checkout.merchant_id,
        member_id=checkout.member_id,
        source="paid",
        source_key=checkout.id,
        days=checkout.meta["days"],
        paid=True,
        now=_clock(buyer, now),
    )
    await funds.received(
        session,
        merchant_id=checkout.merchant_id,
        source="sale",
        reference=checkout.id,
        amount_minor=checkout.amount_minor,
        currency=checkout.currency,
        occurred_at=checkout.paid_at or now,
    )
    detail = dict(checkout.meta) | ({"no_order": refusal} if refusal else {})
    _audit(session, checkout, buyer, "plan.bought", detail)
    return True


_GIVE = {"plan": _plan, "top_up": _top_up}


async def _claim(session: AsyncSession, checkout: Checkout, buyer: Merchant, now: datetime) -> bool:
    """Write down what was bought; of a live merchant for its test twin, too, which shows the same plan."""
    terms = {
        **checkout.meta,
        "id": checkout.id,
        "amount_minor": checkout.amount_minor,
        "currency": checkout.currency,
        "bought_at": _clock(buyer, now),
    }
    tenants = [buyer.id, *([buyer.twin_id] if buyer.livemode and buyer.twin_id else [])]
    once = insert(PlanPurchase).on_conflict_do_nothing().returning(PlanPurchase.id)
    made = await session.scalars(once, [terms | {"merchant_id": merchant_id} for merchant_id in tenants])
    return bool(made.all())


async def _lock(session: AsyncSession, checkout: Checkout) -> None:
    """All that a sale touches, in the order of the house: the order locks inviters, then the buyer; their days come in
    one go, as signups lock them."""
    own: dict[str, Any] = {"merchant_id": checkout.merchant_id}
    await budget.hold(session, **own, campaign_id=checkout.campaign_id or "", stock=True)
    buyer = await session.get_one(Participant, (checkout.merchant_id, checkout.participant_id))
    above = [id_ for id_ in (buyer.inviter_id, buyer.second_inviter_id) if id_]
    chain = select(Participant.member_id).where(
        Participant.merchant_id == checkout.merchant_id, Participant.id.in_([buyer.id, *above])
    )
    members = (await session.scalars(chain)).all()
    await ledger.lock(session, **own, currency=checkout.currency, member_ids=members)
    await session.refresh(buyer, with_for_update={"key_share": True})
    await memberships.lock(session, **own, member_ids=members)


async def _sell(session: AsyncSession, checkout: Checkout, now: datetime) -> str | None:
    """The sale is an order of the house's campaign, of which inviters may earn. Why it could not be one: the merchant
    gets what it has paid for all the same."""
    try:
        async with session.begin_nested():
            await record_order(session, checkout=checkout, now=now)
    except InvitreeError as refusal:
        log.warning("plan_sold_without_order", checkout_id=checkout.id, code=refusal.code)
        return refusal.code
    return None


async def _buyer(session: AsyncSession, checkout: Checkout) -> Merchant:
    return (await session.scalars(select(Merchant).where(Merchant.house_member_id == checkout.member_id))).one()


def _clock(buyer: Merchant, now: datetime) -> datetime:
    return now + timedelta(seconds=buyer.clock_offset_seconds)


def _audit(session: AsyncSession, checkout: Checkout, buyer: Merchant, action: str, detail: dict[str, Any]) -> None:
    """On both sides of the sale."""
    detail = {"amount_minor": checkout.amount_minor, "currency": checkout.currency, "merchant": buyer.id, **detail}
    for merchant_id in (buyer.id, checkout.merchant_id):
        audit.record(
            session, merchant_id=merchant_id, actor=ACTOR, action=action, subject_id=checkout.id, detail=detail
        )
