"""What a decision by two people takes, whatever it is on: one asks with evidence, another one confirms."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from app.kit.errors import Conflict, not_found
from app.models import PaybackDecision, PayoutDecision
from app.payouts import acting, rules

D = TypeVar("D", PaybackDecision, PayoutDecision)


async def require(session: AsyncSession, *, merchant_id: str, actor_id: str) -> None:
    """Forbidden for a key alone, and for users who may not settle."""
    rules.require_person(actor_id)
    await acting.require(session, merchant_id=merchant_id, actor_id=actor_id, step="settle")


async def get(session: AsyncSession, kind: type[D], *, merchant_id: str, subject_id: str) -> D:
    """NotFound `{noun}_decision_not_found` where nobody has asked for one."""
    found = await session.get(kind, (merchant_id, subject_id))
    if found is None:
        raise not_found(f"{kind.noun}_decision")
    return found


async def ask(
    session: AsyncSession,
    kind: type[D],
    *,
    merchant_id: str,
    subject_id: str,
    amount_minor: int,
    outcome: str,
    reason: str,
    evidence: str,
    actor_id: str,
    now: datetime,
) -> D:
    """In place of what was asked before; nothing moves yet."""
    decision = await _hold(session, kind, merchant_id, subject_id)
    if decision is None:
        decision = kind(merchant_id=merchant_id, **{f"{kind.noun}_id": subject_id})
    decision.outcome, decision.reason, decision.evidence = outcome, reason, evidence
    decision.asked_by, decision.asked_at = actor_id, now
    decision.confirmed_by = decision.confirmed_at = None
    session.add(decision)
    _record(session, decision, "asked", actor_id, amount_minor)
    await session.flush()
    return decision


async def hold_asked(session: AsyncSession, kind: type[D], *, merchant_id: str, subject_id: str, outcome: str) -> D:
    """What was asked for, confirmed or not. Conflict `{noun}_decision_missing`, or `{noun}_decision_differs` where it
    was another outcome."""
    decision = await _hold(session, kind, merchant_id, subject_id)
    if decision is None:
        detail = "Nobody has asked for it yet: another user has to, with evidence."
        raise Conflict(f"{kind.noun}_decision_missing", detail)
    if decision.outcome != outcome:
        detail = f"It was asked for as {decision.outcome}: look at the evidence again."
        raise Conflict(f"{kind.noun}_decision_differs", detail)
    return decision


def confirm(session: AsyncSession, decision: D, *, amount_minor: int, actor_id: str, now: datetime) -> None:
    decision.confirmed_by, decision.confirmed_at = actor_id, now
    _record(session, decision, "confirmed", actor_id, amount_minor)


async def _hold(session: AsyncSession, kind: type[D], merchant_id: str, subject_id: str) -> D | None:
    return await session.get(kind, (merchant_id, subject_id), with_for_update=True)


def _record(session: AsyncSession, decision: D, step: str, actor_id: str, amount_minor: int) -> None:
    acting.record(
        session,
        merchant_id=decision.merchant_id,
        actor_id=actor_id,
        action=f"{decision.noun}.decision_{step}",
        subject_id=decision.subject_id,
        reason=decision.reason,
        outcome=decision.outcome,
        amount_minor=amount_minor,
        asked_by=decision.asked_by,
    )
