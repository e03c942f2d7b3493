"""A checkout from opening to its end: paid, failed or expired. Lock order: the checkout, its payment, its campaign."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.campaigns import stock
from app.db.rows import get_row
from app.kit import ids
from app.kit.errors import Conflict, NotFound, Unprocessable, not_found
from app.ledger import funds
from app.models import Campaign, Checkout, Participant
from app.orders import checkout_rules as rules
from app.orders import locks, paying_back, service
from app.orders.checkout_rules import Purpose
from app.orders.providers.protocol import Kind, Notice
from app.orders.rules import WHOLE, NewLine, NewOrder
from app.orders.sale import Sale

AT_ONCE = 500


class Misfit(Conflict):
    """A notice that is not of the checkout it names. Nothing was written."""


async def open_checkout(
    session: AsyncSession,
    *,
    merchant_id: str,
    purpose: Purpose,
    title: str,
    member_id: str,
    amount_minor: int,
    currency: str,
    provider: Kind,
    now: datetime,
    subject: str | None = None,
    campaign: Campaign | None = None,
    participant: Participant | None = None,
    quantity: int = 1,
    return_url: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Checkout:
    """To be paid within 15 minutes, and before its campaign ends; of an order the stock is reserved until then.

    `subject`: what of its kind is bought, a plan's key. Conflict `out_of_stock`.
    """
    reserved = 0
    if purpose == "order" and campaign is not None:
        reserved = await stock.reserve(session, merchant_id=merchant_id, campaign_id=campaign.id, pieces=quantity)
    ends_at = rules.expires_at(now, ends_at=None if campaign is None else campaign.ends_at)
    checkout = Checkout(
        merchant_id=merchant_id,
        id=ids.new("ord"),
        purpose=purpose,
        subject=subject,
        status="open",
        campaign_id=None if campaign is None else campaign.id,
        participant_id=None if participant is None else participant.id,
        member_id=member_id,
        title=title,
        quantity=quantity,
        reserved=reserved,
        amount_minor=amount_minor,
        currency=currency,
        provider=provider,
        return_url=return_url,
        meta=dict(metadata or {}),
        expires_at=ends_at,
        due_at=ends_at,
        attempts=0,
        created_at=now,
    )
    session.add(checkout)
    await session.flush()
    return checkout


async def get(session: AsyncSession, *, merchant_id: str, checkout_id: str) -> Checkout:
    return await get_row(session, Checkout, merchant_id=merchant_id, row_id=checkout_id, noun="checkout")


async def hold(session: AsyncSession, *, merchant_id: str, checkout_id: str) -> Checkout:
    """As it stands now, and nobody else's to move until the transaction ends."""
    try:
        ids.decode("ord", checkout_id)
    except ValueError:
        raise not_found("checkout") from None
    key = (merchant_id, checkout_id)
    found = await session.get(Checkout, key, with_for_update=True, populate_existing=True)
    if found is None:
        raise not_found("checkout")
    return found


async def settle(session: AsyncSession, *, notice: Notice, now: datetime) -> Checkout:
    """Follow what a provider says of a payment; the same again changes nothing.

    Paid: the order is recorded, or, of a plan or a top-up, `applied_at` is left to whoever gives what was bought.
    Money that came too late, and buys nothing any more, is `refund_due`. Misfit where the notice is not of the checkout
    (`amount_mismatch` and the like); NotFound `checkout_not_found`.
    """
    checkout = await hold(session, merchant_id=notice.merchant_id, checkout_id=notice.checkout_id)
    code = rules.misfit(
        notice,
        provider=checkout.provider,
        amount_minor=checkout.amount_minor,
        currency=checkout.currency,
        external_id=checkout.external_id,
    )
    if code is not None:
        raise Misfit(code, "The notification is not of this checkout; nothing was recorded.")
    if notice.state == "paid":
        await _require_own_payment(session, checkout, notice)
    if notice.state == "paid" and checkout.status in {"open", "expired", "failed"}:
        await _take_payment(session, checkout, notice, now)
    elif notice.state in {"failed", "closed"} and checkout.status == "open":
        is_late = notice.state == "closed" and checkout.expires_at <= now
        await _end(session, [checkout], "expired" if is_late else "failed", reason=f"payment_{notice.state}")
    elif notice.state in {"failed", "closed"} and checkout.status == "expired":
        checkout.due_at = checkout.leased_until = None
    await session.flush()
    return checkout


async def _require_own_payment(session: AsyncSession, checkout: Checkout, notice: Notice) -> None:
    """One payment pays for one checkout."""
    own = {"merchant_id": checkout.merchant_id, "provider": checkout.provider}
    await locks.hold_payment(session, **own, external_id=notice.external_id or "")
    others = select(
        exists().where(
            Checkout.merchant_id == checkout.merchant_id,
            Checkout.provider == checkout.provider,
            Checkout.external_id == notice.external_id,
            Checkout.id != checkout.id,
        )
    )
    if await session.scalar(others):
        raise Misfit("payment_used", "The payment has paid for another checkout; nothing was recorded.")


async def _take_payment(session: AsyncSession, checkout: Checkout, notice: Notice, now: datetime) -> None:
    checkout.external_id = notice.external_id
    campaign = await _campaign(session, checkout)
    starts_at = checkout.created_at if campaign is None else campaign.starts_at
    checkout.paid_at = rules.paid_at(notice.paid_at, now=now, starts_at=starts_at)
    checkout.due_at = checkout.leased_until = checkout.reason = None
    checkout.attempts = 0
    await session.flush()
    if checkout.purpose != "order":
        checkout.status = "paid"
        return
    try:
        async with session.begin_nested():
            await record_order(session, checkout=checkout, now=now)
    except (Conflict, NotFound, Unprocessable) as refusal:
        await _end(session, [checkout], "refund_due", reason=refusal.code)
        await paying_back.owe(session, checkout=checkout, amount_minor=checkout.amount_minor, now=now)
    else:
        checkout.status, checkout.applied_at = "paid", now
        await _fill_funds(session, checkout)


async def _fill_funds(session: AsyncSession, checkout: Checkout) -> None:
    """What customers pay in the tool is there to pay promoters with. Its lock comes after all others."""
    await funds.received(
        session,
        merchant_id=checkout.merchant_id,
        source="sale",
        reference=checkout.id,
        amount_minor=checkout.amount_minor,
        currency=checkout.currency,
        occurred_at=checkout.paid_at or checkout.created_at,
    )


async def _campaign(session: AsyncSession, checkout: Checkout) -> Campaign | None:
    if checkout.campaign_id is None:
        return None
    return await session.get_one(Campaign, (checkout.merchant_id, checkout.campaign_id))


async def record_order(session: AsyncSession, *, checkout: Checkout, now: datetime) -> None:
    """The order of a checkout whose `paid_at` is set, under the checkout's own id; Conflict where it cannot be one.

    Pieces that the checkout does not hold any more are taken again. A plan is none of the campaign's pieces, and is an
    order also after the campaign's end: without one nobody could refund it.
    """
    if checkout.campaign_id is None or checkout.paid_at is None:
        raise RuntimeError(f"{checkout.id} is no paid checkout of a campaign")
    is_plan = checkout.purpose == "plan"
    is_held = checkout.status == "open" or is_plan
    order = NewOrder(
        campaign_id=checkout.campaign_id,
        participant_id=checkout.participant_id,
        external_order_id=checkout.id,
        amount_minor=checkout.amount_minor,
        currency=checkout.currency,
        paid_at=checkout.paid_at,
        lines=(NewLine(WHOLE, checkout.amount_minor, checkout.title),),
        metadata=checkout.meta,
    )
    reserved = checkout.reserved if is_held else None
    sale = Sale(checkout.id, checkout.quantity, reserved=reserved, stands=is_plan)
    await service.create(session, merchant_id=checkout.merchant_id, order=order, sale=sale, now=now)


async def expire(session: AsyncSession, *, checkout: Checkout, look_at: datetime | None) -> None:
    """One that the caller holds, and that nobody paid in time; `look_at`: when its provider is asked once more."""
    await _end(session, [checkout], "expired", reason=None)
    checkout.due_at = look_at
    await session.flush()


async def expire_due(session: AsyncSession, *, merchant_id: str, now: datetime, limit: int = AT_ONCE) -> int:
    """End what was not paid in time, and give its stock back; how many. Providers are asked afterwards, by the worker:
    money that came in after all still buys, or goes back."""
    due = (
        select(Checkout)
        .where(Checkout.merchant_id == merchant_id, Checkout.status == "open", Checkout.expires_at <= now)
        .order_by(Checkout.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    found = (await session.scalars(due)).all()
    await _end(session, found, "expired", reason=None)
    for checkout in found:
        checkout.due_at = now if checkout.started_at is not None else None
    await session.flush()
    return len(found)


async def expire_all_due(session: AsyncSession, *, merchant_id: str, now: datetime) -> None:
    while await expire_due(session, merchant_id=merchant_id, now=now):
        pass


async def _end(session: AsyncSession, checkouts: Iterable[Checkout], status: str, *, reason: str | None) -> None:
    held: Counter[str] = Counter()
    merchant_id = ""
    for checkout in checkouts:
        merchant_id = checkout.merchant_id
        if checkout.status == "open" and checkout.campaign_id is not None:
            held[checkout.campaign_id] += checkout.reserved
        checkout.status, checkout.reason, checkout.reserved = status, reason, 0
        checkout.due_at = checkout.leased_until = None
    for campaign_id in sorted(held):
        await stock.give_back(session, merchant_id=merchant_id, campaign_id=campaign_id, pieces=held[campaign_id])
