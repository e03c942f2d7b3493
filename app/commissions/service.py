from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from app.campaigns.document import CommissionRule
from app.commissions import queries, rules
from app.commissions.budgets import within
from app.commissions.claw_back import close_netted as close_netted
from app.commissions.claw_back import reverse as reverse
from app.commissions.fulfilment import begin_hold as begin_hold
from app.commissions.holds import release_all_due as release_all_due
from app.commissions.holds import release_due as release_due
from app.commissions.holds import release_next as release_next
from app.commissions.matching import Performance, level_numbers, tier_reached
from app.commissions.rejecting import reject as reject
from app.commissions.rules import Invitation, Part, Standing
from app.db.writing import fresh
from app.kit import ids
from app.ledger import service as ledger
from app.models import Commission, Order, OrderLine
from app.referrals.history import Chain


class Line(Protocol):
    """What of an order's line its commissions hang on."""

    @property
    def product(self) -> str | None: ...
    @property
    def amount_minor(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Buyer:
    """Who buys, as a participant of the campaign."""

    merchant_id: str
    campaign_id: str
    id: str
    member_id: str
    is_promoter: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """`parts[i]` are those of `lines[i]`; `inviter_id`: whose friend bought, for reaching tiers."""

    parts: list[list[Part]]
    inviter_id: str | None


async def plan(
    session: AsyncSession,
    *,
    buyer: Buyer,
    chain: Chain,
    rule: CommissionRule,
    paid_at: datetime,
    lines: Sequence[Line],
    currency: str,
    budget_left: int | None = None,
) -> Plan:
    """What each level would earn, or why not, for each line. Nothing is written. `chain`: the buyer's when it paid.

    With a budget for each promoter the accounts of those who earn are locked from here on, that none of them earns
    elsewhere meanwhile; `budget_left`, of the campaign, is the caller's to hold.
    """
    who = rules.standings(
        buyer.member_id,
        [
            Invitation(one.participant_id, one.member_id, one.is_promoter, one.replaced_at, one.shares_account)
            for one in chain.above
        ],
        levels=level_numbers(rule),
        bound_until=chain.ends_at,
        paid_at=paid_at,
        replaced_at=chain.replaced_at,
        own=Invitation(buyer.id, buyer.member_id, buyer.is_promoter) if rule.self_purchase else None,
    )
    if rule.tiers:
        who = await _with_tiers(session, buyer.merchant_id, rule, who)
    parts = [rules.split(line.amount_minor, rule, who, product=line.product) for line in lines]
    promoters = await _promoters_left(session, buyer.merchant_id, rule, who.values(), currency)
    parts = within(parts, campaign=budget_left, promoters=promoters)
    holds = chain.ends_at is None or paid_at < chain.ends_at
    friendly = [one.participant_id for one in chain.above[:1] if holds and not one.shares_account]
    return Plan(parts, friendly[0] if friendly else None)


def nothing(plan: Plan, *, reason: str) -> Plan:
    """The same, but nobody earns, nor comes nearer to a tier."""
    parts = [[replace(part, amount_minor=0, arithmetic=None, reason=reason) for part in line] for line in plan.parts]
    return Plan(parts, None)


async def _with_tiers(
    session: AsyncSession, merchant_id: str, rule: CommissionRule, who: Mapping[int, Standing]
) -> dict[int, Standing]:
    """Tiers as reached before this order, by what is bought and not refunded at this moment."""
    wanted = [one.participant_id for one in who.values() if one.participant_id]
    known = await queries.performance(session, merchant_id=merchant_id, participant_ids=wanted)
    found = {}
    for level, one in who.items():
        done = known.get(one.participant_id or "", Performance(0, 0))
        tier = tier_reached(rule.tiers, done)
        found[level] = replace(one, tier=tier, done=done) if one.participant_id else one
    return found


async def _promoters_left(
    session: AsyncSession, merchant_id: str, rule: CommissionRule, who: Iterable[Standing], currency: str
) -> dict[str, int] | None:
    """By participant. Added up each time and kept nowhere: the budget itself bounds how many rows there are."""
    if rule.promoter_budget_minor is None:
        return None
    earning = {one.participant_id: one.member_id for one in who if one.participant_id and one.member_id}
    await ledger.lock(session, merchant_id=merchant_id, currency=currency, member_ids=earning.values())
    spent = await queries.earned(session, merchant_id=merchant_id, participant_ids=earning)
    return {one: max(0, rule.promoter_budget_minor - spent.get(one, 0)) for one in earning}


def earned(
    *,
    order: Order,
    lines: Sequence[OrderLine],
    parts: Sequence[Sequence[Part]],
    rule: CommissionRule,
    now: datetime,
) -> list[Commission]:
    """Rows of what `plan` found (`parts[i]` of `lines[i]`): held until its hold ends, or pending until that begins.

    The caller writes, posts and announces them.
    """
    status, hold_until = rules.standing_at(rule, paid_at=order.paid_at, fulfilled_at=None, now=now)
    return [
        fresh(
            Commission,
            merchant_id=order.merchant_id,
            id=ids.new("com"),
            campaign_id=order.campaign_id,
            order_id=order.id,
            line_id=line.id,
            level=part.level,
            beneficiary_id=part.beneficiary_id,
            member_id=part.member_id,
            amount_minor=part.amount_minor,
            currency=order.currency,
            base_minor=part.base_minor,
            rate_bps=part.rate_bps,
            rule_version=order.rule_version,
            status=status,
            hold_until=hold_until,
            created_at=now,
        )
        for line, line_parts in zip(lines, parts, strict=True)
        for part in line_parts
        if part.amount_minor
    ]
