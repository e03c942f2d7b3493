"""The payout file of a batch: made once in every format, and given out as it was made."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import PayeeAccount, Payout, PayoutBatch, PayoutBatchFile
from app.payouts import acting, payout_file, queries, reconciliation, rules
from app.payouts.locks import lock_batches
from app.payouts.payout_file import Format, PayoutLine
from app.payouts.service import move_withdrawals


@dataclass(frozen=True, slots=True)
class Exported:
    """`first` is true for the one export that handed the batch over; `content` holds names and accounts in full."""

    batch: PayoutBatch
    name: str
    content: bytes
    first: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


async def export(
    session: AsyncSession, *, merchant_id: str, batch_id: str, format_: Format, actor_id: str, now: datetime
) -> Exported:
    """Both formats are written down at the first export: whatever is asked for later are the same payouts."""
    await acting.require(session, merchant_id=merchant_id, actor_id=actor_id, step="export")
    await lock_batches(session, merchant_id)
    batch = await queries.hold_batch(session, merchant_id=merchant_id, batch_id=batch_id)
    rules.require_step("sent" if batch.sent_at else batch.status, "export")
    first = batch.status == "approved"
    if first:
        await reconciliation.require_batch_adds_up(session, merchant_id=merchant_id, batch_id=batch.id)
        await _hand_over(session, batch, now)
    file = await session.get_one(PayoutBatchFile, (merchant_id, batch.id, format_))
    exported = Exported(batch, file.name, base64.b64decode(file.content), first)
    acting.record(
        session,
        merchant_id=merchant_id,
        actor_id=actor_id,
        action="payout_batch.exported",
        subject_id=batch.id,
        format=format_,
        sha256=exported.sha256,
        first=first,
    )
    await session.flush()
    return exported


async def _hand_over(session: AsyncSession, batch: PayoutBatch, now: datetime) -> None:
    lines = await _lines(session, batch)
    for format_ in payout_file.FORMATS:
        content = payout_file.render(lines, format_, created=now)
        session.add(
            PayoutBatchFile(
                merchant_id=batch.merchant_id,
                batch_id=batch.id,
                format=format_,
                name=payout_file.file_name(batch.number, format_),
                content=base64.b64encode(content).decode(),
                created_at=now,
            )
        )
    created = update(Payout).where(
        Payout.merchant_id == batch.merchant_id, Payout.batch_id == batch.id, Payout.status == "created"
    )
    await session.execute(created.values(status="submitting"))
    await move_withdrawals(session, batch, "in_payout")
    batch.status, batch.exported_at = "exported", now
    await session.flush()


async def _lines(session: AsyncSession, batch: PayoutBatch) -> list[PayoutLine]:
    statement = (
        select(Payout, PayeeAccount)
        .join(
            PayeeAccount,
            (PayeeAccount.merchant_id == Payout.merchant_id) & (PayeeAccount.id == Payout.payee_account_id),
        )
        .where(Payout.merchant_id == batch.merchant_id, Payout.batch_id == batch.id, queries.LIVE)
        .order_by(Payout.id)
    )
    return [_line(batch, payout, payee) for payout, payee in (await session.execute(statement)).all()]


def _line(batch: PayoutBatch, payout: Payout, payee: PayeeAccount) -> PayoutLine:
    return PayoutLine(
        payout_id=payout.id,
        batch_number=batch.number,
        channel=payee.kind,
        account=payee.account,
        real_name=payee.real_name,
        amount=payout_file.decimal_amount(payout.amount_minor),
        currency=payout.currency,
        remark=f"佣金 {batch.number}",
    )
