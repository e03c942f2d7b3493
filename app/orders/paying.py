"""A payer goes to pay: what the provider is asked for, and when it is asked what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit import ids
from app.kit.errors import Conflict, not_found
from app.models import Checkout, Member, Merchant, PaymentProvider
from app.orders import checkout as checkouts
from app.orders import checkout_rules as rules
from app.orders.providers import credentials
from app.orders.providers.protocol import Payment, Way, payment_key


@dataclass(frozen=True, slots=True)
class Begun:
    """A payment that was begun: what to ask of which provider, by which way."""

    payment: Payment
    kind: str
    way: Way
    row: PaymentProvider | None


async def merchant_of(session: AsyncSession, checkout_id: str) -> Merchant:
    """Whose checkout it is, asked as *system*, for pages that come with nothing but its id; NotFound."""
    try:
        ids.decode("ord", checkout_id)
    except ValueError:
        raise not_found("checkout") from None
    wanted = select(Merchant).join(Checkout, Checkout.merchant_id == Merchant.id).where(Checkout.id == checkout_id)
    merchant = (await session.scalars(wanted)).one_or_none()
    if merchant is None:
        raise not_found("checkout")
    return merchant


async def begin(
    session: AsyncSession,
    *,
    merchant_id: str,
    checkout_id: str,
    in_wechat: bool,
    public_url: str,
    payer_address: str,
    now: datetime,
) -> Begun:
    """Note that somebody is at it. The way of the first time stays: a provider takes no key for two ways.

    Conflict `checkout_not_open`; `payment_other_way` where this browser cannot go it.
    """
    checkout = await checkouts.hold(session, merchant_id=merchant_id, checkout_id=checkout_id)
    if checkout.status != "open" or checkout.expires_at <= now:
        raise Conflict("checkout_not_open", "It was paid, or its time is over.")
    openid = checkout.payer_openid or (await session.get_one(Member, (merchant_id, checkout.member_id))).openid
    way = rules.way(checkout.provider, in_wechat=in_wechat, has_openid=openid is not None)
    if way is None or checkout.way not in (None, way):
        raise Conflict("payment_other_way", "This payment goes on in another browser.")
    checkout.way, checkout.started_at = way, checkout.started_at or now
    checkout.due_at, checkout.attempts = rules.next_look(now, attempts=0, expires_at=checkout.expires_at), 0
    row = await credentials.find_to_pay(session, merchant_id=merchant_id)
    if checkout.provider == credentials.KIND and row is not None:
        checkout.provider_account = checkout.provider_account or credentials.account(row)
    await session.flush()
    payment = Payment(
        payment_key(checkout.id),
        checkout.title,
        checkout.amount_minor,
        checkout.currency,
        checkout.expires_at,
        notify_url=notify_url(public_url, checkout.provider, merchant_id),
        return_url=pay_url(public_url, checkout.id),
        payer_address=payer_address,
        openid=openid,
    )
    return Begun(payment, checkout.provider, way, row)


async def know_payer(session: AsyncSession, *, merchant_id: str, checkout_id: str, openid: str) -> None:
    """Who pays in WeChat, as long as nobody has begun to. It stays with the checkout: whoever has the link may pay, and
    is not the member therefore."""
    checkout = await checkouts.hold(session, merchant_id=merchant_id, checkout_id=checkout_id)
    if checkout.status == "open" and checkout.started_at is None:
        checkout.payer_openid = openid
        await session.flush()


async def look_soon(session: AsyncSession, *, merchant_id: str, checkout_id: str, now: datetime) -> None:
    """Somebody waits for the answer: let the provider be asked, where nobody asks just now, as long as it is at all."""
    checkout = await checkouts.hold(session, merchant_id=merchant_id, checkout_id=checkout_id)
    if checkout.status in {"open", "expired"} and checkout.started_at is not None and checkout.due_at is not None:
        checkout.due_at = min(checkout.due_at, now)
        await session.flush()


def pay_url(public_url: str, checkout_id: str) -> str:
    return f"{public_url}/h5/pay/{checkout_id}"


def notify_url(public_url: str, kind: str, merchant_id: str) -> str:
    return f"{public_url}/v1/payment-notifications/{kind}/{merchant_id}"
