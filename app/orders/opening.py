"""What is to be known before an order is recorded, in two round trips: one to queue, one to read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, Text, and_, bindparam, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.campaigns import budget
from app.campaigns import queries as campaigns
from app.campaigns.document import RuleDocument, parsed
from app.kit.errors import not_found
from app.models import Campaign, CampaignRule, Order, Participant, Refund
from app.orders.locks import number_of
from app.orders.rules import NewOrder
from app.referrals import queries as referrals


@dataclass(frozen=True, slots=True)
class Opening:
    """`known`: the order that came before under this id; `has_parked`: refunds wait for it."""

    campaign: Campaign
    rule: RuleDocument
    buyer: Participant
    known: Order | None
    has_parked: bool


def _reading(whose: ColumnElement[bool]) -> Select[Any]:
    parked = select(Refund.id).where(
        Refund.merchant_id == Campaign.merchant_id,
        Refund.external_order_id == bindparam("external_order_id"),
        Refund.status == "parked",
    )
    own_rule = and_(
        CampaignRule.merchant_id == Campaign.merchant_id,
        CampaignRule.campaign_id == Campaign.id,
        CampaignRule.version == Campaign.rule_version,
    )
    own_buyer = and_(Participant.merchant_id == Campaign.merchant_id, Participant.campaign_id == Campaign.id, whose)
    same = and_(Order.merchant_id == Campaign.merchant_id, Order.external_order_id == bindparam("external_order_id"))
    return (
        select(Campaign, cast(CampaignRule.document, Text), Participant, Order, parked.exists())
        .join(CampaignRule, own_rule)
        .outerjoin(Participant, own_buyer)
        .outerjoin(Order, same)
        .where(Campaign.merchant_id == bindparam("merchant_id"), Campaign.id == bindparam("campaign_id"))
        .execution_options(populate_existing=True)
    )


# The order of one id before the campaign, as refunds come by them: the list is worked off from the left.
_QUEUE = select(
    func.pg_advisory_xact_lock(bindparam("order", type_=BigInteger)),
    func.pg_advisory_xact_lock_shared(bindparam("campaign", type_=BigInteger)),
)
_BY_ID = _reading(Participant.id == bindparam("buyer"))
_BY_MEMBER = _reading(Participant.member_id == bindparam("buyer"))


async def enter(session: AsyncSession, *, merchant_id: str, order: NewOrder) -> Opening:
    """Behind whoever is at this order's id, and beside all others of the campaign, as `locks.hold_external_order` and
    `budget.hold` have it. NotFound for campaign, member or participant."""
    numbers = {"order": number_of(merchant_id, order.external_order_id), "campaign": budget.key(order.campaign_id)}
    await session.execute(_QUEUE, numbers)
    return await _read(session, merchant_id, order)


async def alone(session: AsyncSession, opening: Opening, order: NewOrder) -> Opening:
    """The same with the campaign's row, where orders move sums on it; read again then."""
    campaign = opening.campaign
    if not budget.is_counted(campaign, stock=True):
        return opening
    await campaigns.lock(session, merchant_id=campaign.merchant_id, campaign_id=campaign.id)
    return await _read(session, campaign.merchant_id, order)


async def _read(session: AsyncSession, merchant_id: str, order: NewOrder) -> Opening:
    wanted = {
        "merchant_id": merchant_id,
        "campaign_id": order.campaign_id,
        "external_order_id": order.external_order_id,
        "buyer": order.participant_id or order.member_id,
    }
    found = (await session.execute(_BY_ID if order.participant_id else _BY_MEMBER, wanted)).one_or_none()
    if found is None:
        raise not_found("campaign")
    campaign, document, buyer, known, has_parked = found
    if buyer is None:
        if order.member_id is not None:
            await referrals.get_member(session, merchant_id=merchant_id, member_id=order.member_id)
        raise not_found("participant")
    return Opening(campaign, parsed(document), buyer, known, has_parked)
