"""A batch goes to the providers: each payout to the rail of its payee's account, from then on by the worker."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.rows import get_row
from app.kit.errors import Conflict
from app.models import PayeeAccount, Payout, PayoutBatch, PayoutRail
from app.payouts import acting, queries, reconciliation, rules
from app.payouts.locks import lock_batches
from app.payouts.rails import credentials
from app.payouts.rails.rules import OPEN
from app.payouts.service import move_withdrawals

SANDBOX = "sandbox"


async def send(
    session: AsyncSession, *, merchant_id: str, batch_id: str, actor_id: str, livemode: bool, now: datetime
) -> PayoutBatch:
    """Nothing is called here: what is committed is that it will be. Sent again it changes nothing.

    A test tenant's batches all go to the sandbox. Conflict `rail_missing` where a payee's account has no rail (bank
    cards go by file), `rail_not_configured` where the merchant has given no credentials.
    """
    await acting.require(session, merchant_id=merchant_id, actor_id=actor_id, step="send")
    await lock_batches(session, merchant_id)
    batch = await queries.hold_batch(session, merchant_id=merchant_id, batch_id=batch_id)
    if batch.sent_at is not None:
        return batch
    rules.require_step(batch.status, "send")
    await reconciliation.require_batch_adds_up(session, merchant_id=merchant_id, batch_id=batch.id)
    kinds = await _kinds(session, batch)
    known = await _require_rails(session, batch, kinds) if livemode else {}
    await _hand_over(session, batch, kinds, known, now=now)
    batch.channel = kinds[0] if len(kinds) == 1 else "mixed"
    batch.status, batch.sent_at = "sent", now
    acting.record(
        session,
        merchant_id=merchant_id,
        actor_id=actor_id,
        action="payout_batch.sent",
        subject_id=batch.id,
        payouts=batch.payout_count,
        total_minor=batch.total_minor,
        rails=kinds if livemode else [SANDBOX],
    )
    await session.flush()
    return batch


async def give_up(session: AsyncSession, *, merchant_id: str, payout_id: str, actor_id: str, now: datetime) -> Payout:
    """Ask that an open transfer be given up: nothing is sent for it any more. Whether its provider has it, and could
    close it, the worker finds out.
    """
    await acting.require(session, merchant_id=merchant_id, actor_id=actor_id, step="cancel")
    payout = await get_row(session, Payout, merchant_id=merchant_id, row_id=payout_id, noun="payout")
    await session.refresh(payout, with_for_update=True)
    if payout.cancel_asked_at is not None:
        return payout
    if payout.rail is None or payout.status not in OPEN:
        detail = f"The payout is {payout.status}; only one that a provider has and has not settled can be given up."
        raise Conflict(f"payout_{payout.status}", detail)
    payout.cancel_asked_at, payout.due_at = now, now
    acting.record(
        session, merchant_id=merchant_id, actor_id=actor_id, action="payout.cancel_asked", subject_id=payout.id
    )
    await session.flush()
    return payout


async def _kinds(session: AsyncSession, batch: PayoutBatch) -> list[str]:
    statement = select(PayeeAccount.kind).where(*_of_batch(batch)).distinct().order_by(PayeeAccount.kind)
    return list((await session.scalars(statement)).all())


async def _require_rails(session: AsyncSession, batch: PayoutBatch, kinds: list[str]) -> dict[str, PayoutRail]:
    if "bank" in kinds:
        raise Conflict("rail_missing", "Bank cards are paid by file: export the batch, or build one for a rail.")
    every = await credentials.every(session, merchant_id=batch.merchant_id)
    known: dict[str, PayoutRail] = dict(every.items())
    for kind in kinds:
        if kind not in known:
            raise Conflict("rail_not_configured", f"There are no credentials for {kind} yet: set them first.")
    return known


async def _hand_over(
    session: AsyncSession, batch: PayoutBatch, kinds: list[str], known: dict[str, PayoutRail], *, now: datetime
) -> None:
    """What has no credentials of its own goes to the sandbox, which only a test tenant's does."""
    for kind in kinds:
        own = known.get(kind)
        way = {"rail": kind, "rail_account": credentials.account_of(own)} if own else {"rail": SANDBOX}
        of_kind = update(Payout).where(*_of_batch(batch), PayeeAccount.kind == kind)
        await session.execute(of_kind.values(**way, due_at=now, moved_at=now))
    await move_withdrawals(session, batch, "in_payout")


def _of_batch(batch: PayoutBatch) -> tuple[ColumnElement[bool], ...]:
    return (
        Payout.merchant_id == batch.merchant_id,
        Payout.batch_id == batch.id,
        queries.LIVE,
        PayeeAccount.merchant_id == Payout.merchant_id,
        PayeeAccount.id == Payout.payee_account_id,
    )
