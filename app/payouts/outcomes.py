"""What became of payouts: the money moved, and the world told, in the transaction that records it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.commissions.views import commission_view
from app.db import outbox
from app.models import Commission, Payout, PayoutBatch, Withdrawal
from app.payouts import funding, moves, queries
from app.payouts.moves import Progress, silent
from app.payouts.result_rules import SETTLED
from app.payouts.views import payout_view

Pair = tuple[Payout, Withdrawal]
_ON_ITS_WAY = frozenset({"exported", "sent"})


async def announce(
    session: AsyncSession,
    *,
    merchant_id: str,
    paid: Sequence[Pair],
    failed: Sequence[Pair],
    now: datetime,
    progress: Progress = silent,
) -> None:
    """Move the money, and owe the world the events of it."""
    reported = [withdrawal for _, withdrawal in (*paid, *failed)]
    await moves.lock(session, merchant_id=merchant_id, withdrawals=reported)
    held = await queries.commission_ids(
        session, merchant_id=merchant_id, withdrawal_ids=[withdrawal.id for withdrawal in reported]
    )
    commissions: Sequence[Commission] = []
    total = len(paid) + len(failed)
    if paid:
        commissions = await moves.settle(
            session, merchant_id=merchant_id, paid=paid, now=now, progress=lambda done, _: progress(done, total)
        )
    if failed:
        returned = [withdrawal for _, withdrawal in failed]
        await moves.give_back(
            session,
            merchant_id=merchant_id,
            withdrawals=returned,
            status="failed",
            now=now,
            progress=lambda done, _: progress(len(paid) + done, total),
        )
    await funding.spend(session, [payout for payout, _ in paid], now=now)
    await funding.release(session, [payout for payout, _ in failed], now=now)
    for type_, pairs in (("payout.paid", paid), ("payout.failed", failed)):
        shown = [payout_view(payout, held[withdrawal.id]) for payout, withdrawal in pairs]
        await outbox.emit_many(session, merchant_id, type_, shown, at=now)
    await outbox.emit_many(session, merchant_id, "commission.paid", [*map(commission_view, commissions)], at=now)


async def settle_payout(session: AsyncSession, *, batch: PayoutBatch, payout: Payout, now: datetime) -> None:
    """Of a payout that has just become `paid` or `failed`; its batch is held."""
    pair = (payout, await session.get_one(Withdrawal, (payout.merchant_id, payout.withdrawal_id)))
    is_paid = payout.status == "paid"
    paid, failed = ([pair], []) if is_paid else ([], [pair])
    await announce(session, merchant_id=payout.merchant_id, paid=paid, failed=failed, now=now)
    await settle_batch(session, batch, now=now)


async def settle_batch(session: AsyncSession, batch: PayoutBatch, *, now: datetime) -> None:
    """When every payout has its result."""
    await session.flush()
    waiting = exists().where(
        Payout.merchant_id == batch.merchant_id, Payout.batch_id == batch.id, Payout.status.not_in(SETTLED)
    )
    if batch.status in _ON_ITS_WAY and not await session.scalar(select(waiting)):
        batch.status, batch.settled_at = "settled", now
