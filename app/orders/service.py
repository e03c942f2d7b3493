from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.campaigns import budget
from app.campaigns.rules import require_open
from app.commissions import service as commissions
from app.commissions.books import news, standing
from app.commissions.rules import Part
from app.commissions.service import Buyer
from app.commissions.views import part_view
from app.db import outbox
from app.db.writing import fresh, write_rows
from app.kit import ids
from app.kit.errors import Conflict, not_found
from app.kit.money import share
from app.models import Order, OrderLine, Participant
from app.orders import clearing, opening, queries, rules
from app.orders.opening import Offer, Opening
from app.orders.queries import OrderDetail
from app.orders.refunds import apply_parked
from app.orders.rewarding import order_paid
from app.orders.rules import NewLine, NewOrder
from app.orders.sale import Buying, Sale, Sold, check_name, take_stock
from app.orders.views import order_view
from app.plans import queries as plans
from app.referrals import queries as referrals
from app.referrals.history import Chain, chain_at


async def create(
    session: AsyncSession, *, merchant_id: str, order: NewOrder, now: datetime, sale: Sale | None = None
) -> tuple[OrderDetail, bool]:
    """The order with its commissions, and whether it is new; the same content again finds the first one.

    `sale`: our own, where it is one. NotFound for campaign, member or participant; Conflict for the campaign's state,
    `external_order_id_reused`, or, of a sale, `out_of_stock`; Unprocessable for what does not add up.
    """
    found = await opening.enter(session, merchant_id=merchant_id, order=order)
    rules.check_order(order, currency=found.campaign.currency, now=now)
    check_name(order.external_order_id, sale)
    if found.known is not None:
        rules.require_same(found.known.content_hash, order.fingerprint(found.buyer.id), noun="order")
        return await queries.get(session, merchant_id=merchant_id, order_id=found.known.order_id), False
    found = await opening.alone(session, found, order)
    closed = _why_closed(found.campaign, order, sale, now)
    sold = await take_stock(session, found.campaign, sale)
    made = await _keep(session, found, order, sold, now, closed=closed)
    if found.has_rewards and closed is None:
        await order_paid(session, buyer=found.buyer, now=now)
    if found.has_parked:
        kept = await session.get_one(Order, (merchant_id, made.order.id))
        await apply_parked(session, order=kept, now=now)
        made = await queries.detail(session, merchant_id=merchant_id, order=kept)
    return made, True


async def buyer_of(session: AsyncSession, merchant_id: str, order: Buying) -> Participant:
    """NotFound for a member or participant who is none of the campaign's."""
    if order.participant_id is not None:
        buyer: Participant | None = await referrals.get_participant(
            session, merchant_id=merchant_id, participant_id=order.participant_id
        )
    else:
        member = await referrals.get_member(session, merchant_id=merchant_id, member_id=order.member_id or "")
        buyer = await referrals.participant_of_member(
            session, merchant_id=merchant_id, campaign_id=order.campaign_id, member_id=member.id
        )
    if buyer is None or buyer.campaign_id != order.campaign_id:
        raise not_found("participant")
    return buyer


def _why_closed(campaign: Offer, order: NewOrder, sale: Sale | None, now: datetime) -> str | None:
    """The code of what would be refused, of a sale that stands in whatever state its campaign is."""
    try:
        # Nobody becomes a participant while a campaign is paused, so whoever is one was bound before.
        require_open(campaign, "order", now=now, bound_before=True, paid_at=order.paid_at)
    except Conflict as refusal:
        if sale is None or not sale.stands:
            raise
        return refusal.code
    return None


async def _keep(
    session: AsyncSession, found: Opening, order: NewOrder, sold: Sold, now: datetime, *, closed: str | None
) -> OrderDetail:
    """`closed`: why nobody earns by it."""
    campaign, rule = found.campaign, found.rule
    wanted = order.lines_or_whole()
    plan = await commissions.plan(
        session,
        buyer=found.buyer,
        chain=found.chain or await _chain_when_paid(session, found.buyer, order.paid_at),
        rule=rule,
        paid_at=order.paid_at,
        lines=wanted,
        currency=campaign.currency,
        budget_left=budget.left(campaign),
    )
    if closed is not None:
        plan = commissions.nothing(plan, reason=closed)
    row = _row(campaign, found.buyer, order, sold, now)
    row.inviter_id = plan.inviter_id
    row.platform_fee_bps = await _fee_bps(session, found, now)
    row.platform_fee_minor = share(order.amount_minor, row.platform_fee_bps)
    lines = [_line(row, line) for line in wanted]
    row.rule, row.explanation = found.rule_copy, _explanation(lines, plan.parts, campaign.rule_version)
    earned = commissions.earned(order=row, lines=lines, parts=plan.parts, rule=rule, now=now)
    made = OrderDetail(row, lines, earned, [])
    events = outbox.rows_of(campaign.merchant_id, [*news(earned), ("order.paid", order_view(made))], at=now)
    await write_rows(session, [row], lines, earned, events)
    await clearing.sold(session, order=row, earned=standing(earned), now=now)
    await budget.take(session, campaign=campaign, amount_minor=sum(one.amount_minor for one in earned))
    return made


async def _chain_when_paid(session: AsyncSession, buyer: Buyer, paid_at: datetime) -> Chain:
    participant = await session.get_one(Participant, (buyer.merchant_id, buyer.id))
    return await chain_at(session, merchant_id=buyer.merchant_id, participant=participant, at=paid_at)


async def _fee_bps(session: AsyncSession, found: Opening, now: datetime) -> int:
    if found.platform_fee_bps is not None:
        return found.platform_fee_bps
    return (await plans.standing(session, merchant_id=found.campaign.merchant_id, now=now)).platform_fee_bps


def _row(campaign: Offer, buyer: Buyer, order: NewOrder, sold: Sold, now: datetime) -> Order:
    return fresh(
        Order,
        merchant_id=campaign.merchant_id,
        id=sold.order_id,
        campaign_id=campaign.id,
        participant_id=buyer.id,
        member_id=buyer.member_id,
        external_order_id=order.external_order_id,
        content_hash=order.fingerprint(buyer.id),
        amount_minor=order.amount_minor,
        refunded_minor=0,
        platform_fee_refunded_minor=0,
        shipping_minor=order.shipping_minor,
        tax_minor=order.tax_minor,
        currency=order.currency,
        status="paid",
        pieces=sold.pieces,
        paid_at=order.paid_at,
        rule_version=campaign.rule_version,
        meta=dict(order.metadata),
        created_at=now,
    )


def _line(order: Order, line: NewLine) -> OrderLine:
    return fresh(
        OrderLine,
        merchant_id=order.merchant_id,
        id=ids.new("lin"),
        order_id=order.id,
        external_line_id=line.external_line_id,
        product=line.product,
        amount_minor=line.amount_minor,
        refunded_minor=0,
    )


def _explanation(
    lines: Sequence[OrderLine], parts: Sequence[Sequence[Part]], rule_version: int
) -> list[dict[str, Any]]:
    return [
        part_view(part, line_id=line.id, external_line_id=line.external_line_id, rule_version=rule_version)
        for line, line_parts in zip(lines, parts, strict=True)
        for part in line_parts
    ]
