"""Payouts that their provider tells nothing of: one person says what became of each, another one confirms it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncSession

from app.db.rows import get_row
from app.kit.errors import Conflict
from app.models import Payout, PayoutBatch, PayoutDecision
from app.payouts import outcomes, queries, rules, two_people
from app.payouts.locks import lock_batches
from app.payouts.rails.rules import is_for_people

Outcome = Literal["paid", "failed"]


async def get(session: AsyncSession, *, merchant_id: str, payout_id: str) -> PayoutDecision:
    """NotFound `payout_not_found`, or `payout_decision_not_found` where nobody has asked for one."""
    payout = await get_row(session, Payout, merchant_id=merchant_id, row_id=payout_id, noun="payout")
    return await two_people.get(session, PayoutDecision, merchant_id=merchant_id, subject_id=payout.id)


async def ask(
    session: AsyncSession,
    *,
    merchant_id: str,
    payout_id: str,
    outcome: Outcome,
    reason: str,
    evidence: str,
    actor_id: str,
    now: datetime,
) -> PayoutDecision:
    """In place of what was asked before and not confirmed; nothing moves yet.

    Conflict `payout_not_for_people` while its provider may still tell of it, or while it may still be sent.
    """
    batch, payout = await _enter(session, merchant_id, payout_id, actor_id)
    _require_undecided(batch, payout, now)
    return await two_people.ask(
        session,
        PayoutDecision,
        merchant_id=merchant_id,
        subject_id=payout.id,
        amount_minor=payout.amount_minor,
        outcome=outcome,
        reason=reason,
        evidence=evidence,
        actor_id=actor_id,
        now=now,
    )


async def confirm(
    session: AsyncSession, *, merchant_id: str, payout_id: str, outcome: Outcome, actor_id: str, now: datetime
) -> PayoutDecision:
    """By neither who asked nor who approved the batch; the money moves as if the provider had said so.

    Confirmed again it stays as it is. Conflict `payout_decision_missing`, or `payout_decision_differs` where another
    outcome was asked for.
    """
    batch, payout = await _enter(session, merchant_id, payout_id, actor_id)
    own = {"merchant_id": merchant_id, "subject_id": payout.id}
    decision = await two_people.hold_asked(session, PayoutDecision, **own, outcome=outcome)
    if decision.confirmed_by is not None:
        return decision
    rules.require_confirmer(actor_id=actor_id, asked_by=decision.asked_by, approved_by=batch.approved_by)
    _require_undecided(batch, payout, now)
    payout.status, payout.moved_at, payout.reason = outcome, now, decision.reason[:500]
    payout.paid_at = now if outcome == "paid" else None
    payout.due_at = payout.leased_until = payout.package_info = None
    await session.flush()
    await outcomes.settle_payout(session, batch=batch, payout=payout, now=now)
    two_people.confirm(session, decision, amount_minor=payout.amount_minor, actor_id=actor_id, now=now)
    await session.flush()
    return decision


async def _enter(session: AsyncSession, merchant_id: str, payout_id: str, actor_id: str) -> tuple[PayoutBatch, Payout]:
    """Held in the order in which the worker takes them, whose answer may come at this moment."""
    await two_people.require(session, merchant_id=merchant_id, actor_id=actor_id)
    await lock_batches(session, merchant_id)
    payout = await get_row(session, Payout, merchant_id=merchant_id, row_id=payout_id, noun="payout")
    batch = await queries.hold_batch(session, merchant_id=merchant_id, batch_id=payout.batch_id)
    await session.refresh(payout, with_for_update=True)
    return batch, payout


def _require_undecided(batch: PayoutBatch, payout: Payout, now: datetime) -> None:
    if payout.status != "unknown":
        raise Conflict(f"payout_{payout.status}", f"The payout is {payout.status}: there is nothing to decide.")
    if not is_for_people(external_id=payout.external_id, moved_at=payout.moved_at, sent_at=batch.sent_at, now=now):
        detail = "Its provider is still asked, and may still be told to make it: wait, or give it up."
        raise Conflict("payout_not_for_people", detail)
