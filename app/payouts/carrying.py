"""From a payout that was sent to what became of it: claim, call, record. Done by the worker, over all merchants.

The calls stand between two transactions. A worker that dies in between lets its claim run out; whoever claims next asks
the provider first, because the call may have been made.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, case, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.rows import get_row
from app.kit import clock
from app.models import Merchant, PayeeAccount, Payout, PayoutBatch, PayoutRail
from app.payouts import outcomes, queries
from app.payouts.locks import lock_batches
from app.payouts.rails import rules
from app.payouts.rails.comparing import Recorded
from app.payouts.rails.protocol import Answer, Transfer

OPEN = rules.OPEN


@dataclass(frozen=True, slots=True)
class Taken:
    """A payout that was claimed, before anything sealed of it is read: what cannot be read stops only itself."""

    merchant_id: str
    payout_id: str
    number: int


@dataclass(frozen=True, slots=True)
class Claim:
    """One turn of one payout. `number` guards its outcome: a claim that ran out must not overwrite a later one.

    `credentials`: the merchant's with its rail, None where they are gone; `sent_with`: the account whose transfer it
    is, None where that was not written down.
    """

    merchant_id: str
    payout_id: str
    batch_id: str
    rail: str
    number: int
    cancelling: bool
    trusts_not_found: bool
    transfer: Transfer
    sent_with: str | None
    sent_at: datetime | None
    credentials: PayoutRail | None
    now: datetime


def _same(model: Any) -> Any:
    return model.merchant_id == Payout.merchant_id


_Row = Row[tuple[Payout, PayeeAccount, PayoutRail, int, datetime | None]]
_SENT = (
    select(Payout, PayeeAccount, PayoutRail, Merchant.clock_offset_seconds, PayoutBatch.sent_at)
    .join(Merchant, Merchant.id == Payout.merchant_id)
    .join(PayeeAccount, _same(PayeeAccount) & (PayeeAccount.id == Payout.payee_account_id))
    .join(PayoutBatch, _same(PayoutBatch) & (PayoutBatch.id == Payout.batch_id))
    .outerjoin(PayoutRail, _same(PayoutRail) & (PayoutRail.kind == Payout.rail))
)


async def claim(session: AsyncSession, *, limit: int, seconds: int) -> list[Taken]:
    """Take due payouts for `seconds` of the real clock; due is what the tenant's own clock says, as *system*."""
    tenant_now = func.now() + func.make_interval(0, 0, 0, 0, 0, 0, Merchant.clock_offset_seconds)
    due = (
        select(Payout.merchant_id, Payout.id, tenant_now.label("now"))
        .join(Merchant, Merchant.id == Payout.merchant_id)
        .where(Payout.due_at <= tenant_now, Payout.status.in_(OPEN))
        .where(Payout.leased_until.is_(None) | (Payout.leased_until <= func.now()))
        .order_by(Payout.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True, of=Payout)
        .cte("due")
    )
    is_first = Payout.status == "created"
    take = (
        update(Payout)
        .where(Payout.merchant_id == due.c.merchant_id, Payout.id == due.c.id)
        .values(
            status=case((is_first, "submitting"), else_=Payout.status),
            moved_at=case((is_first, due.c.now), else_=Payout.moved_at),
            attempts=Payout.attempts + 1,
            leased_until=func.now() + timedelta(seconds=seconds),  # the database's clock: workers' may differ
        )
        .returning(Payout.merchant_id, Payout.id, Payout.attempts)
        .execution_options(synchronize_session=False)
    )
    return [Taken(*row) for row in (await session.execute(take)).all()]


async def unseal(session: AsyncSession, taken: Taken) -> Claim | None:
    """What the turn needs; None where the claim is not the newest one any more."""
    wanted = _SENT.where(Payout.merchant_id == taken.merchant_id, Payout.id == taken.payout_id)
    row = (await session.execute(wanted.where(Payout.attempts == taken.number))).one_or_none()
    return None if row is None else _as_claim(row)


async def look(session: AsyncSession, *, merchant_id: str, batch_id: str | None) -> list[tuple[Claim, Recorded]]:
    """All payouts of the merchant (or the batch) that a provider has had, to ask after them; nothing is claimed."""
    wanted = _SENT.where(Payout.merchant_id == merchant_id, Payout.rail.is_not(None), Payout.attempts > 0)
    if batch_id is not None:
        batch = await queries.get_batch(session, merchant_id=merchant_id, batch_id=batch_id)
        wanted = wanted.where(Payout.batch_id == batch.id)
    rows = (await session.execute(wanted.order_by(Payout.id))).all()
    return [(claim, _as_recorded(row, claim)) for row in rows for claim in [_as_claim(row)]]


async def record(session: AsyncSession, *, claim: Claim, answer: Answer) -> bool:
    """Follow an answer; False where the claim is not the newest one any more, and nothing was done."""
    own: dict[str, Any] = {"merchant_id": claim.merchant_id}
    await lock_batches(session, claim.merchant_id)
    batch = await queries.hold_batch(session, **own, batch_id=claim.batch_id)
    payout = await get_row(session, Payout, **own, row_id=claim.payout_id, noun="payout")
    await session.refresh(payout, with_for_update=True)
    if payout.attempts != claim.number or payout.status not in OPEN:
        return False
    move = rules.next_move(answer, attempts=payout.attempts, cancelling=claim.cancelling)
    _follow(payout, answer, move, claim.now)
    if move.wait is None:
        await outcomes.settle_payout(session, batch=batch, payout=payout, now=claim.now)
    await session.flush()
    return True


def _as_claim(row: _Row) -> Claim:
    payout, payee, credentials, offset, sent_at = row
    now = clock.tenant_now(offset)
    transfer = Transfer(
        rules.transfer_key(payout.id), payout.amount_minor, payout.currency, payee.account, payee.real_name, "佣金"
    )
    return Claim(
        merchant_id=payout.merchant_id,
        payout_id=payout.id,
        batch_id=payout.batch_id,
        rail=payout.rail or "",
        number=payout.attempts,
        cancelling=payout.cancel_asked_at is not None,
        trusts_not_found=rules.trusts_not_found(
            external_id=payout.external_id, sent_at=sent_at, cancel_asked_at=payout.cancel_asked_at, now=now
        ),
        transfer=transfer,
        sent_with=payout.rail_account,
        sent_at=sent_at,
        credentials=credentials,
        now=now,
    )


def _as_recorded(row: _Row, claim: Claim) -> Recorded:
    is_told = rules.is_still_told(sent_at=row[4], now=claim.now)
    return Recorded(claim.payout_id, row[0].status, claim.transfer.amount_minor, is_told)


def _follow(payout: Payout, answer: Answer, move: rules.Move, now: datetime) -> None:
    if payout.status != move.status:
        payout.status, payout.moved_at = move.status, now
    payout.external_id = answer.external_id or payout.external_id
    payout.reason = answer.reason and answer.reason[:500]
    payout.paid_at = (answer.paid_at or now) if move.status == "paid" else None
    payout.leased_until = None
    payout.due_at = None if move.wait is None else now + move.wait
    payout.package_info = (answer.package_info or payout.package_info) if move.status == "awaiting_payee" else None
