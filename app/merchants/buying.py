"""What merchants buy of the house: a checkout of its own for a plan, or for funds that promoters are paid out of."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.campaigns import queries as campaigns
from app.campaigns.rules import require_open
from app.kit.errors import Conflict, Unavailable, not_found
from app.kit.money import yuan
from app.merchants import house
from app.models import Checkout, Merchant, Participant
from app.orders import checkout
from app.orders.providers import opening
from app.orders.providers.protocol import Kind
from app.plans import queries as plans
from app.plans.rules import CURRENCY
from app.referrals import queries as referrals
from app.referrals.identity import MemberIdentity
from app.signups import service as signups


async def open_plan(
    session: AsyncSession, *, merchant_id: str, key: str, sandbox_for_live: bool, now: datetime
) -> Checkout:
    """As *system*, `now` the real time. NotFound `plan_not_found`; Conflict `house_buys_nothing`, or
    `payment_provider_missing` where the house has none."""
    plan = await plans.for_sale(session, key=key)
    merchant = await _merchant(session, merchant_id)
    buyer = await _enter(session, merchant, now)
    provider = await _provider(session, buyer, merchant, sandbox_for_live=sandbox_for_live)
    own = {"merchant_id": buyer.merchant_id, "campaign_id": buyer.campaign_id}
    return await checkout.open_checkout(
        session,
        merchant_id=buyer.merchant_id,
        purpose="plan",
        subject=plan.key,
        title=f"{plan.name} {plan.days} 天",
        member_id=buyer.member_id,
        amount_minor=plan.price_minor,
        currency=CURRENCY,
        provider=provider,
        campaign=await campaigns.get(session, **own),
        participant=buyer,
        # The terms that the buyer has seen, whatever becomes of the plan until it is paid.
        metadata={"plan": plan.key, "days": plan.days, "platform_fee_bps": plan.platform_fee_bps},
        now=now,
    )


async def open_top_up(
    session: AsyncSession,
    *,
    merchant_id: str,
    amount_minor: int,
    currency: str,
    sandbox_for_live: bool,
    now: datetime,
) -> Checkout:
    """As *system*, `now` the real time. Conflict `house_buys_nothing`, `payment_provider_missing`."""
    merchant = await _merchant(session, merchant_id)
    buyer = await _enter(session, merchant, now)
    provider = await _provider(session, buyer, merchant, sandbox_for_live=sandbox_for_live)
    return await checkout.open_checkout(
        session,
        merchant_id=buyer.merchant_id,
        purpose="top_up",
        title=f"佣金预存 {yuan(amount_minor)} 元",
        member_id=buyer.member_id,
        amount_minor=amount_minor,
        currency=currency,
        provider=provider,
        now=now,
    )


async def bought(session: AsyncSession, *, merchant_id: str, checkout_id: str) -> Checkout:
    """As *system*: what the merchant itself buys, whatever became of it. NotFound `checkout_not_found`."""
    merchant = await session.get_one(Merchant, merchant_id)
    house_id = await house.id_of(session, livemode=merchant.livemode)
    if house_id is None or merchant.house_member_id is None:
        raise not_found("checkout")
    found = await checkout.get(session, merchant_id=house_id, checkout_id=checkout_id)
    if found.member_id != merchant.house_member_id or found.purpose == "order":
        raise not_found("checkout")
    return found


async def _provider(session: AsyncSession, buyer: Participant, merchant: Merchant, *, sandbox_for_live: bool) -> Kind:
    """The house's: it is the one that sells."""
    return await opening.choose(
        session, merchant_id=buyer.merchant_id, livemode=merchant.livemode, sandbox_for_live=sandbox_for_live
    )


async def _merchant(session: AsyncSession, merchant_id: str) -> Merchant:
    merchant = await session.get_one(Merchant, merchant_id)
    if merchant.is_house:
        raise Conflict("house_buys_nothing", "The house sells to merchants; it needs nothing of its own.")
    return merchant


async def _enter(session: AsyncSession, merchant: Merchant, now: datetime) -> Participant:
    """Who the merchant is in a campaign of the house that takes orders: its own one, so that its inviter may earn, or
    else the one that runs. A test twin gets its place in the test house with its first purchase."""
    house_id = await house.id_of(session, livemode=merchant.livemode)
    if house_id is None:
        raise Unavailable("house_missing", "There is no house merchant yet: run `invitree seed`.")
    own = await _own_place(session, house_id, merchant, now)
    if own is not None:
        return own
    entered = await signups.sign_up(
        session,
        merchant_id=house_id,
        campaign_id=await house.campaign_id(session, merchant_id=house_id),
        identity=MemberIdentity(external_id=merchant.id, nickname=merchant.name[:64]),
        invite_code=None,
        now=now,
    )
    if merchant.house_member_id is None:
        merchant.house_member_id, merchant.house_participant_id = entered.member.id, entered.participant.id
        await session.flush()
    return entered.participant


async def _own_place(session: AsyncSession, house_id: str, merchant: Merchant, now: datetime) -> Participant | None:
    if merchant.house_participant_id is None:
        return None
    own = await referrals.get_participant(session, merchant_id=house_id, participant_id=merchant.house_participant_id)
    campaign = await campaigns.get(session, merchant_id=house_id, campaign_id=own.campaign_id)
    try:
        require_open(campaign, "order", now=now, bound_before=True)
    except Conflict:
        return None
    return own
