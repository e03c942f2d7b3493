"""One row of everything that has a public id, for walks over all routes."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import outbox
from app.kit import clock, ids
from app.merchants import buying, house
from app.models import (
    Asset,
    Commission,
    Member,
    Order,
    Participant,
    PaybackDecision,
    PaymentNotice,
    Payout,
    PayoutDecision,
    PosterTemplate,
    Referral,
    Reward,
    WebhookDelivery,
    WebhookEndpoint,
    Withdrawal,
)
from app.orders import selling
from app.orders.refunds import refund_by_external_ids
from app.orders.rules import NewRefund
from app.orders.selling import Wish
from app.payouts import exports
from app.payouts import service as payouts
from app.poster import BUILTIN
from app.referrals import poster_jobs
from app.resources import Resources
from tests.factories.campaigns import make_campaign, make_participant
from tests.factories.merchants import MerchantFixture
from tests.factories.payables import make_payable, make_user

World = dict[str, str]


async def make_world(resources: Resources, merchant: MerchantFixture, *, live: bool = False) -> World:
    """Ids by their prefix (a second one of a kind as `ptc2`), and words that only this tenant knows by name."""
    merchant_id = merchant.live_id if live else merchant.test_id
    async with resources.db.tenant(merchant_id) as session:
        people = await _people(session, merchant_id)
        now = {"now": clock.utcnow().isoformat()}
        money = await _money(session, people, merchant_id) | await _checkout(session, people, merchant_id)
        things = await _things(session, merchant_id)
    return now | people | money | things | await _bought(resources, merchant_id)


async def _people(session: AsyncSession, merchant_id: str) -> World:
    template = PosterTemplate(merchant_id=merchant_id, id=ids.new("tpl"), name="海报", document=_document())
    session.add(template)
    campaign = await make_campaign(session, merchant_id, poster_template_ids=[template.id])
    promoter = await make_payable(session, merchant_id, 500, campaign=campaign)
    friend = await make_participant(session, campaign, inviter=promoter)
    other = await make_payable(session, merchant_id, 700, campaign=campaign)
    third = await make_payable(session, merchant_id, 900, campaign=campaign)
    referral = Referral(
        merchant_id=merchant_id,
        id=ids.new("ref"),
        campaign_id=campaign.id,
        inviter_id=promoter.id,
        invitee_id=friend.id,
        bound_at=clock.utcnow(),
        new_member=True,
        decision={"won_by": "code"},
    )
    session.add(referral)
    await session.flush()
    reward = await _reward(session, referral, promoter)
    wish = poster_jobs.Wish([promoter.id], template_id=None, format="jpeg")
    job = await poster_jobs.start(
        session, merchant_id=merchant_id, campaign_id=campaign.id, wish=wish, now=clock.utcnow()
    )
    member = await session.get_one(Member, (merchant_id, promoter.member_id))
    return {
        "cmp": campaign.id,
        "job": job.id,
        "tpl": template.id,
        "ptc": promoter.id,
        "ptc2": friend.id,
        "mbr": promoter.member_id,
        "mbr2": other.member_id,
        "mbr3": third.member_id,
        "ref": referral.id,
        "rwd": reward.id,
        "invite_code": promoter.invite_code,
        "external_member_id": member.external_id or "",
    }


async def _reward(session: AsyncSession, referral: Referral, inviter: Participant) -> Reward:
    reward = Reward(
        merchant_id=referral.merchant_id,
        id=ids.new("rwd"),
        campaign_id=referral.campaign_id,
        referral_id=referral.id,
        participant_id=inviter.id,
        member_id=inviter.member_id,
        invitee_id=referral.invitee_id,
        rule_key="inviter_days",
        rule_version=1,
        side="inviter",
        trigger="phone_verified",
        days=30,
    )
    session.add(reward)
    await session.flush()
    return reward


async def _money(session: AsyncSession, people: World, merchant_id: str) -> World:
    """One batch is exported, one just built; the third member may still ask for a withdrawal."""
    maker, checker = await make_user(session, merchant_id), await make_user(session, merchant_id, "owner")
    sent = await _batch(session, merchant_id, people["mbr3"], maker)
    scope: dict[str, Any] = {"merchant_id": merchant_id, "batch_id": sent.batch_id, "now": clock.utcnow()}
    await payouts.approve(session, actor_id=checker, **scope)
    await exports.export(session, actor_id=maker, format_="csv", **scope)
    payout = await _batch(session, merchant_id, people["mbr"], maker)
    payout.external_id = ids.new("ext")
    withdrawal = await session.get_one(Withdrawal, (merchant_id, payout.withdrawal_id))
    commission = (await session.scalars(select(Commission).where(Commission.member_id == people["mbr"]))).one()
    order = await session.get_one(Order, (merchant_id, commission.order_id))
    parked, _ = await refund_by_external_ids(
        session,
        merchant_id=merchant_id,
        external_order_id=ids.new("ext"),
        refund=NewRefund(ids.new("ext"), 1),
        now=clock.utcnow(),
    )
    why: dict[str, Any] = {"reason": "x", "evidence": "y", "asked_by": maker, "asked_at": clock.utcnow()}
    session.add(PayoutDecision(merchant_id=merchant_id, payout_id=payout.id, outcome="paid", **why))
    session.add(PaybackDecision(merchant_id=merchant_id, refund_id=parked.id, outcome="try_again", **why))
    await session.flush()
    return {
        "usr": maker,
        "usr2": checker,
        "bat": payout.batch_id,
        "bat2": sent.batch_id,
        "pay": payout.id,
        "pay2": sent.id,
        "wdr": withdrawal.id,
        "pac": withdrawal.payee_account_id,
        "com": commission.id,
        "ord": order.id,
        "rfd": parked.id,
        "external_order_id": order.external_order_id,
        "external_refund_id": parked.external_refund_id,
        "external_payout_id": payout.external_id,
    }


async def _checkout(session: AsyncSession, people: World, merchant_id: str) -> World:
    wish = Wish(people["cmp"], participant_id=people["ptc2"])
    made = await selling.sell(session, merchant_id=merchant_id, wish=wish, provider="sandbox", now=clock.utcnow())
    made.external_id = ids.new("ext")
    notice = {"provider": "sandbox", "code": "amount_mismatch", "checkout_id": made.id, "external_id": made.external_id}
    told = PaymentNotice(
        merchant_id=merchant_id, id=ids.new("pnt"), content_hash=b"x", received_at=clock.utcnow(), **notice
    )
    session.add(told)
    await session.flush()
    return {"chk": made.id, "external_payment_id": made.external_id}


async def _bought(resources: Resources, merchant_id: str) -> World:
    """What the merchant itself buys of the house."""
    async with resources.db.system() as session:
        now = clock.utcnow()
        await house.ensure(session, now=now)
        plan = {"merchant_id": merchant_id, "key": "pro_month"}
        return {"chk2": (await buying.open_plan(session, **plan, sandbox_for_live=True, now=now)).id}


async def _batch(session: AsyncSession, merchant_id: str, member_id: str, maker: str) -> Payout:
    """With the payout of this member alone: everybody else's commissions wait meanwhile."""
    others = update(Commission).where(Commission.member_id != member_id)
    await session.execute(others.where(Commission.status == "payable").values(status="held"))
    built = await payouts.build(session, merchant_id=merchant_id, actor_id=maker, now=clock.utcnow())
    await session.execute(others.where(Commission.status == "held").values(status="payable"))
    return (await session.scalars(select(Payout).where(Payout.batch_id == built.batch.id))).one()


async def _things(session: AsyncSession, merchant_id: str) -> World:
    own: dict[str, Any] = {"merchant_id": merchant_id}
    event_id = await outbox.emit(session, merchant_id, "order.paid", {}, at=clock.utcnow())
    endpoint = WebhookEndpoint(**own, id=ids.new("whe"), url="https://shop.example.com/", secret="whsec_x", types=["*"])
    background = await _picture(session, merchant_id, "background", (750, 1334))
    avatar = await _picture(session, merchant_id, "avatar", (256, 256))
    session.add(endpoint)
    await session.flush()
    delivery = WebhookDelivery(**own, id=ids.new("dlv"), endpoint_id=endpoint.id, event_id=event_id, status="failed")
    session.add(delivery)
    await session.flush()
    own_ids = {"evt": event_id, "whe": endpoint.id, "dlv": delivery.id}
    return own_ids | {"ast": background.id, "ast2": avatar.id}


async def _picture(session: AsyncSession, merchant_id: str, purpose: str, size: tuple[int, int]) -> Asset:
    out = io.BytesIO()
    Image.new("RGB", size, "teal").save(out, "PNG")
    asset = Asset(
        merchant_id=merchant_id,
        id=ids.new("ast"),
        purpose=purpose,
        content_type="image/png",
        digest=ids.new("ast").encode(),
        content=out.getvalue(),
        width=size[0],
        height=size[1],
    )
    session.add(asset)
    await session.flush()
    return asset


def _document() -> dict[str, Any]:
    return BUILTIN["distribution"].document.model_dump(mode="json")
