"""What is to be known before an order is recorded, in two round trips: one to queue, one to read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.campaigns import budget
from app.campaigns import queries as campaigns
from app.campaigns.document import CommissionRule, copied, parsed
from app.commissions.service import Buyer
from app.db import driver
from app.kit import ids
from app.kit.errors import not_found
from app.orders.locks import number_of
from app.orders.rules import NewOrder
from app.referrals import queries as referrals
from app.referrals.history import Above, Chain


@dataclass(frozen=True, slots=True)
class Offer:
    """What of a campaign its orders hang on."""

    merchant_id: str
    id: str
    status: str
    starts_at: datetime | None
    ends_at: datetime | None
    ended_at: datetime | None
    currency: str
    stock: int | None
    rule_version: int
    budget_minor: int | None
    commission_minor: int


@dataclass(frozen=True, slots=True)
class Known:
    """The order that came before under this id."""

    order_id: str
    content_hash: bytes


@dataclass(frozen=True, slots=True)
class Opening:
    """`chain`: None where it was another one when the order was paid. `platform_fee_bps`: None where it depends on what
    the merchant bought. `has_parked`: refunds wait for the order; `has_rewards`: rewards hang on it."""

    campaign: Offer
    rule: CommissionRule
    rule_copy: dict[str, Any]
    buyer: Buyer
    known: Known | None
    chain: Chain | None
    platform_fee_bps: int | None
    has_parked: bool
    has_rewards: bool


# The order of one id before the campaign, as refunds come by them: the list is worked off from the left.
_QUEUE = "SELECT pg_advisory_xact_lock($1::bigint), pg_advisory_xact_lock_shared($2::bigint)"

_READ = """
    SELECT c.status, c.starts_at, c.ends_at, c.ended_at, c.currency, c.stock, c.rule_version, c.budget_minor,
           c.commission_minor, r.document::text, b.id, b.member_id, b.is_promoter, b.inviter_id,
           one.member_id, one.is_promoter, {one_shares}, two.id, two.member_id, two.is_promoter, {two_shares},
           bound.binding_ends_at,
           EXISTS (SELECT FROM past_bindings past WHERE past.merchant_id = c.merchant_id
                   AND past.invitee_id IN (b.id, b.inviter_id) AND past.replaced_at > $5::timestamptz),
           EXISTS (SELECT FROM refunds WHERE refunds.merchant_id = c.merchant_id
                   AND refunds.external_order_id = $3 AND refunds.status = 'parked'),
           EXISTS (SELECT FROM rewards WHERE rewards.merchant_id = c.merchant_id AND rewards.campaign_id = c.id
                   AND rewards.invitee_id = b.id AND rewards.trigger = 'order_paid'
                   AND (rewards.status IN ('owed', 'granted') OR rewards.fallen)),
           o.id, o.content_hash, m.is_house, p.platform_fee_bps,
           EXISTS (SELECT FROM plan_purchases bought WHERE bought.merchant_id = c.merchant_id)
    FROM campaigns c
    JOIN campaign_rules r ON r.merchant_id = c.merchant_id AND r.campaign_id = c.id AND r.version = c.rule_version
    JOIN merchants m ON m.id = c.merchant_id
    JOIN plans p ON p.key = m.plan
    LEFT JOIN participants b ON b.merchant_id = c.merchant_id AND b.campaign_id = c.id AND b.{named} = $4
    LEFT JOIN participants one ON one.merchant_id = c.merchant_id AND one.id = b.inviter_id
    LEFT JOIN participants two ON two.merchant_id = c.merchant_id AND two.id = b.second_inviter_id
    LEFT JOIN referrals bound
        ON bound.merchant_id = c.merchant_id AND bound.campaign_id = c.id AND bound.invitee_id = b.id
    LEFT JOIN orders o ON o.merchant_id = c.merchant_id AND o.external_order_id = $3
    WHERE c.merchant_id = $1 AND c.id = $2
"""
# As `referrals.sameness` has it.
_SHARES = """EXISTS (SELECT FROM payee_accounts mine JOIN payee_accounts theirs
           ON theirs.merchant_id = mine.merchant_id AND theirs.kind = mine.kind
           AND theirs.account_index = mine.account_index WHERE mine.merchant_id = c.merchant_id
           AND mine.member_id = b.member_id AND theirs.member_id = {}.member_id)"""
_OTHERS = {"one_shares": _SHARES.format("one"), "two_shares": _SHARES.format("two")}
_BY_ID, _BY_MEMBER = _READ.format(named="id", **_OTHERS), _READ.format(named="member_id", **_OTHERS)


async def enter(session: AsyncSession, *, merchant_id: str, order: NewOrder) -> Opening:
    """Behind whoever is at this order's id, and beside all others of the campaign, as `locks.hold_external_order` and
    `budget.hold` have it. NotFound for campaign, member or participant."""
    numbers = number_of(merchant_id, order.external_order_id), budget.key(order.campaign_id)
    await driver.fetch(session, _QUEUE, *numbers)
    return await _read(session, merchant_id, order)


async def alone(session: AsyncSession, opening: Opening, order: NewOrder) -> Opening:
    """The same with the campaign's row, where orders move sums on it; read again then."""
    campaign = opening.campaign
    if not budget.is_counted(campaign, stock=True):
        return opening
    await campaigns.lock(session, merchant_id=campaign.merchant_id, campaign_id=campaign.id)
    return await _read(session, campaign.merchant_id, order)


async def _read(session: AsyncSession, merchant_id: str, order: NewOrder) -> Opening:
    if order.participant_id is not None:
        query, buyer_id = _BY_ID, ids.decode("ptc", order.participant_id)
    else:
        query, buyer_id = _BY_MEMBER, ids.decode("mbr", order.member_id or "")
    own, campaign_id = ids.decode("mch", merchant_id), ids.decode("cmp", order.campaign_id)
    found = await driver.fetch(session, query, own, campaign_id, order.external_order_id, buyer_id, order.paid_at)
    if not found:
        raise not_found("campaign")
    row = found[0]
    if row[10] is None:
        if order.member_id is not None:
            await referrals.get_member(session, merchant_id=merchant_id, member_id=order.member_id)
        raise not_found("participant")
    return _opening(merchant_id, order.campaign_id, row)


def _opening(merchant_id: str, campaign_id: str, row: Any) -> Opening:
    is_replaced, has_parked, has_rewards, known_id, known_hash, is_house, fee_bps, has_bought = row[22:30]
    if has_bought:
        fee_bps = None
    return Opening(
        campaign=Offer(merchant_id, campaign_id, *row[:9]),
        rule=parsed(row[9]).commission,
        rule_copy=copied(row[9]),
        buyer=Buyer(merchant_id, campaign_id, ids.encode("ptc", row[10]), ids.encode("mbr", row[11]), row[12]),
        known=_known(known_id, known_hash),
        chain=None if is_replaced else _chain(row[13:22]),
        # The house would owe it to itself.
        platform_fee_bps=0 if is_house and fee_bps is not None else fee_bps,
        has_parked=has_parked,
        has_rewards=has_rewards,
    )


def _known(order_id: Any, content_hash: bytes | None) -> Known | None:
    return None if order_id is None or content_hash is None else Known(ids.encode("ord", order_id), content_hash)


def _chain(row: Any) -> Chain:
    """As it stands."""
    steps = [one for one in (row[:4], row[4:8]) if one[0] is not None]
    if not steps:
        return Chain()
    above = [Above(ids.encode("ptc", id_), ids.encode("mbr", member_id), *rest) for id_, member_id, *rest in steps]
    return Chain(tuple(above), row[8])
