"""Refunds that their provider does not carry out: one person says what is to become of each, another confirms it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncSession

from app.db.rows import get_row
from app.kit import clock
from app.kit.errors import Conflict
from app.models import PaybackDecision, Refund
from app.orders import paying_back
from app.orders.checkout_rules import is_for_people
from app.payouts import rules, two_people

Outcome = Literal["paid_otherwise", "try_again"]


async def get(session: AsyncSession, *, merchant_id: str, refund_id: str) -> PaybackDecision:
    """NotFound `refund_not_found`, or `refund_decision_not_found` where nobody has asked for one."""
    refund = await get_row(session, Refund, merchant_id=merchant_id, row_id=refund_id, noun="refund")
    return await two_people.get(session, PaybackDecision, merchant_id=merchant_id, subject_id=refund.id)


async def ask(
    session: AsyncSession,
    *,
    merchant_id: str,
    refund_id: str,
    outcome: Outcome,
    reason: str,
    evidence: str,
    actor_id: str,
    now: datetime,
) -> PaybackDecision:
    """In place of what was asked before; nothing moves yet. Conflict `refund_not_for_people` while its provider may
    still carry it out."""
    refund = await _enter(session, merchant_id, refund_id, actor_id)
    _require_undecided(refund, now)
    return await two_people.ask(
        session,
        PaybackDecision,
        merchant_id=merchant_id,
        subject_id=refund.id,
        amount_minor=refund.amount_minor,
        outcome=outcome,
        reason=reason,
        evidence=evidence,
        actor_id=actor_id,
        now=now,
    )


async def confirm(
    session: AsyncSession, *, merchant_id: str, refund_id: str, outcome: Outcome, actor_id: str, now: datetime
) -> PaybackDecision:
    """By another one than asked. `paid_otherwise`: its provider is asked no more; `try_again`: at once, for another
    refund where it has closed the first.

    Confirmed again it stays as it is. Conflict `refund_decision_missing`, `refund_decision_differs` where another
    outcome was asked for, `refund_under_way` while its provider is asked.
    """
    refund = await _enter(session, merchant_id, refund_id, actor_id)
    own = {"merchant_id": merchant_id, "subject_id": refund.id}
    decision = await two_people.hold_asked(session, PaybackDecision, **own, outcome=outcome)
    if decision.confirmed_by is not None:
        return decision
    rules.require_confirmer(actor_id=actor_id, asked_by=decision.asked_by, approved_by=None)
    _require_undecided(refund, now)
    if outcome == "paid_otherwise":
        await paying_back.settle(session, refund=refund, payback="paid_otherwise", now=now)
    else:
        await paying_back.try_again(session, refund=refund, now=now)
    two_people.confirm(session, decision, amount_minor=refund.amount_minor, actor_id=actor_id, now=now)
    await session.flush()
    return decision


async def _enter(session: AsyncSession, merchant_id: str, refund_id: str, actor_id: str) -> Refund:
    await two_people.require(session, merchant_id=merchant_id, actor_id=actor_id)
    await get_row(session, Refund, merchant_id=merchant_id, row_id=refund_id, noun="refund")
    return await paying_back.hold(session, merchant_id=merchant_id, refund_id=refund_id)


def _require_undecided(refund: Refund, now: datetime) -> None:
    if refund.payback is None or refund.payback in paying_back.OVER:
        state = refund.payback or refund.status
        raise Conflict("refund_settled", f"The refund is {state}: there is nothing to decide.")
    if not is_for_people(refund.payback, asked_for_at=refund.created_at, now=now):
        raise Conflict("refund_not_for_people", "Its provider is still asked, and may still carry it out: wait.")
    if refund.leased_until is not None and refund.leased_until > clock.utcnow():
        raise Conflict(
            "refund_under_way", "Its provider is asked at this moment: try again in a minute.", retry_after=60
        )
