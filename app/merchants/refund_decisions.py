"""Refunds that their provider does not carry out: one person says what is to become of each, another confirms it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncSession

from app.db.rows import get_row
from app.kit import clock
from app.kit.errors import Conflict, not_found
from app.models import PaybackDecision, Refund
from app.orders import paying_back
from app.orders.checkout_rules import is_for_people
from app.payouts import acting
from app.payouts import rules as payouts

Outcome = Literal["paid_otherwise", "try_again"]


async def get(session: AsyncSession, *, merchant_id: str, refund_id: str) -> PaybackDecision:
    """NotFound `refund_not_found`, or `refund_decision_not_found` where nobody has asked for one."""
    refund = await get_row(session, Refund, merchant_id=merchant_id, row_id=refund_id, noun="refund")
    found = await session.get(PaybackDecision, (merchant_id, refund.id))
    if found is None:
        raise not_found("refund_decision")
    return found


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
    decision = await _find(session, refund) or PaybackDecision(merchant_id=merchant_id, refund_id=refund.id)
    decision.outcome, decision.reason, decision.evidence = outcome, reason, evidence
    decision.asked_by, decision.asked_at = actor_id, now
    decision.confirmed_by = decision.confirmed_at = None
    session.add(decision)
    _record(session, decision, refund, actor_id, "asked")
    await session.flush()
    return decision


async def confirm(
    session: AsyncSession, *, merchant_id: str, refund_id: str, outcome: Outcome, actor_id: str, now: datetime
) -> PaybackDecision:
    """By another one than asked. `paid_otherwise`: its provider is asked no more; `try_again`: at once, for another
    refund where it has closed the first.

    Confirmed again it stays as it is. Conflict `refund_decision_missing`, `refund_decision_differs` where another
    outcome was asked for, `refund_under_way` while its provider is asked.
    """
    refund = await _enter(session, merchant_id, refund_id, actor_id)
    decision = await _find(session, refund)
    if decision is None:
        raise Conflict("refund_decision_missing", "Nobody has asked for it yet: another user has to, with evidence.")
    if decision.outcome != outcome:
        detail = f"It was asked for as {decision.outcome}: look at the evidence again."
        raise Conflict("refund_decision_differs", detail)
    if decision.confirmed_by is not None:
        return decision
    payouts.require_confirmer(actor_id=actor_id, asked_by=decision.asked_by, approved_by=None)
    _require_undecided(refund, now)
    decision.confirmed_by, decision.confirmed_at = actor_id, now
    if outcome == "paid_otherwise":
        await paying_back.settle(session, refund=refund, payback="paid_otherwise", now=now)
    else:
        await paying_back.try_again(session, refund=refund, now=now)
    _record(session, decision, refund, actor_id, "confirmed")
    await session.flush()
    return decision


async def _enter(session: AsyncSession, merchant_id: str, refund_id: str, actor_id: str) -> Refund:
    payouts.require_person(actor_id)
    await acting.require(session, merchant_id=merchant_id, actor_id=actor_id, step="settle")
    await get_row(session, Refund, merchant_id=merchant_id, row_id=refund_id, noun="refund")
    return await paying_back.hold(session, merchant_id=merchant_id, refund_id=refund_id)


async def _find(session: AsyncSession, refund: Refund) -> PaybackDecision | None:
    return await session.get(PaybackDecision, (refund.merchant_id, refund.id), with_for_update=True)


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


def _record(session: AsyncSession, decision: PaybackDecision, refund: Refund, actor_id: str, step: str) -> None:
    acting.record(
        session,
        merchant_id=refund.merchant_id,
        actor_id=actor_id,
        action=f"refund.decision_{step}",
        subject_id=refund.id,
        reason=decision.reason,
        outcome=decision.outcome,
        amount_minor=refund.amount_minor,
        asked_by=decision.asked_by,
    )
