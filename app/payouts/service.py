"""A batch from its making to its approval or cancellation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit import clock, ids
from app.kit.errors import Conflict
from app.models import Payout, PayoutBatch, Withdrawal
from app.payouts import acting, funding, moves, planning, queries, reconciliation, rules
from app.payouts.locks import lock_batches
from app.payouts.moves import Progress, silent
from app.payouts.planning import Choice, Plan, Skipped


@dataclass(frozen=True, slots=True)
class Built:
    batch: PayoutBatch
    skipped: Sequence[Skipped]


async def preview(session: AsyncSession, *, merchant_id: str, choice: Choice | None = None) -> Plan:
    plan = await planning.plan(session, merchant_id=merchant_id, choice=choice or Choice())
    available = await funding.available_minor(session, merchant_id=merchant_id, currency=plan.currency)
    return replace(plan, available_minor=available)


async def build(
    session: AsyncSession,
    *,
    merchant_id: str,
    actor_id: str,
    key_id: str | None = None,
    choice: Choice | None = None,
    now: datetime,
    progress: Progress = silent,
) -> Built:
    """A batch of all requested withdrawals and, for every other member who can be paid, a new withdrawal.

    Conflict `nothing_to_pay` where there are none: built twice, the second time finds nothing; `funds_insufficient`
    where a prepaid merchant has less. `key_id`: the API key that spoke for the actor, for the audit log.
    """
    await acting.require(session, merchant_id=merchant_id, actor_id=actor_id, step="build")
    await lock_batches(session, merchant_id)
    choice = choice or Choice()
    plan = await planning.plan(session, merchant_id=merchant_id, choice=choice, lock=True)
    wanted: dict[str, Any] = {"merchant_id": merchant_id, "currency": plan.currency, "terms": plan.terms}
    made = await moves.take(session, **wanted, wishes=plan.wishes, now=now, progress=progress)
    withdrawals = [*plan.requested, *made]
    if not withdrawals:
        raise Conflict("nothing_to_pay", f"Nobody can be paid now; {len(plan.skipped)} members were skipped.")
    batch = await _make_batch(session, withdrawals, actor_id, choice, now)
    await funding.require(session, batch)
    counts = {"payouts": batch.payout_count, "skipped": len(plan.skipped)}
    _record(
        session, batch, actor_id, "built", number=batch.number, total_minor=batch.total_minor, counts=counts, key=key_id
    )
    return Built(batch, plan.skipped)


async def approve(
    session: AsyncSession, *, merchant_id: str, batch_id: str, actor_id: str, key_id: str | None = None, now: datetime
) -> PayoutBatch:
    """By another user than its builder; asked again by the same one it stays approved.

    Conflict `funds_insufficient` where a prepaid merchant has less than the batch takes.
    """
    await lock_batches(session, merchant_id)
    batch = await queries.hold_batch(session, merchant_id=merchant_id, batch_id=batch_id)
    rules.require_other_person(maker_id=batch.built_by, checker_id=actor_id)
    await acting.require(session, merchant_id=merchant_id, actor_id=actor_id, step="approve")
    if batch.approved_by == actor_id and batch.status != "cancelled":
        return batch
    rules.require_step(batch.status, "approve")
    await reconciliation.require_batch_adds_up(session, merchant_id=merchant_id, batch_id=batch.id)
    batch.status, batch.approved_by, batch.approved_at = "approved", actor_id, now
    await move_withdrawals(session, batch, "approved")
    await funding.reserve(session, batch, now=now)
    _record(session, batch, actor_id, "approved", total_minor=batch.total_minor, payouts=batch.payout_count, key=key_id)
    await session.flush()
    return batch


async def cancel(
    session: AsyncSession,
    *,
    merchant_id: str,
    batch_id: str,
    actor_id: str,
    reason: str | None = None,
    now: datetime,
) -> PayoutBatch:
    """Until it is exported: all its withdrawals are cancelled, their commissions payable again."""
    await acting.require(session, merchant_id=merchant_id, actor_id=actor_id, step="cancel")
    await lock_batches(session, merchant_id)
    batch = await queries.hold_batch(session, merchant_id=merchant_id, batch_id=batch_id)
    if batch.status == "cancelled":
        return batch
    rules.require_step(batch.status, "cancel")
    pairs = await queries.payouts_with_withdrawals(session, merchant_id=merchant_id, batch_id=batch.id)
    withdrawals = [withdrawal for _, withdrawal in pairs]
    await moves.give_back(session, merchant_id=merchant_id, withdrawals=withdrawals, status="cancelled", now=now)
    for payout, _ in pairs:
        payout.status = "cancelled"
    await funding.release(session, [payout for payout, _ in pairs], now=now)
    batch.status = "cancelled"
    _record(session, batch, actor_id, "cancelled", reason=reason, total_minor=batch.total_minor)
    await session.flush()
    return batch


async def move_withdrawals(session: AsyncSession, batch: PayoutBatch, status: str) -> None:
    """What happens to a batch as a whole happens to the withdrawals of its payouts."""
    move = update(Withdrawal).where(
        Withdrawal.merchant_id == batch.merchant_id,
        Payout.merchant_id == batch.merchant_id,
        Payout.batch_id == batch.id,
        Payout.withdrawal_id == Withdrawal.id,
        queries.LIVE,
    )
    await session.execute(move.values(status=status))


async def _make_batch(
    session: AsyncSession,
    withdrawals: Sequence[Withdrawal],
    actor_id: str,
    choice: Choice,
    now: datetime,
) -> PayoutBatch:
    merchant_id = withdrawals[0].merchant_id
    batch = PayoutBatch(
        merchant_id=merchant_id,
        id=ids.new("bat"),
        # Letters and digits only, for the channels that take no others; random, so that a rolled-back number is not
        # given to another batch.
        number=f"PB{clock.shanghai(now):%Y%m%d}{ids.new_invite_code().upper()}",
        channel=choice.channel,
        campaign_id=choice.campaign_id,
        requested_before=choice.requested_before,
        status="built",
        payout_count=len(withdrawals),
        total_minor=sum(withdrawal.net_minor for withdrawal in withdrawals),
        currency=withdrawals[0].currency,
        built_by=actor_id,
        created_at=now,
    )
    session.add(batch)
    await session.flush()
    await session.execute(insert(Payout), [_payout(batch, withdrawal, now) for withdrawal in withdrawals])
    return batch


def _payout(batch: PayoutBatch, withdrawal: Withdrawal, now: datetime) -> dict[str, object]:
    return {
        "merchant_id": batch.merchant_id,
        "id": ids.new("pay"),
        "batch_id": batch.id,
        "withdrawal_id": withdrawal.id,
        "member_id": withdrawal.member_id,
        "payee_account_id": withdrawal.payee_account_id,
        "amount_minor": withdrawal.net_minor,
        "currency": withdrawal.currency,
        "status": "created",
        "created_at": now,
    }


def _record(
    session: AsyncSession,
    batch: PayoutBatch,
    actor_id: str,
    action: str,
    *,
    reason: str | None = None,
    **detail: object,
) -> None:
    acting.record(
        session,
        merchant_id=batch.merchant_id,
        actor_id=actor_id,
        action=f"payout_batch.{action}",
        subject_id=batch.id,
        reason=reason,
        **detail,
    )
