"""The payout file of a batch: made once in every format, and given out as it was made."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit.errors import Conflict, Unprocessable
from app.models import PayeeAccount, Payout, PayoutBatch, PayoutBatchFile
from app.payouts import acting, alipay_file, outcomes, payout_file, queries, reconciliation, rules
from app.payouts.alipay_file import AlipayFormat, Payer
from app.payouts.locks import lock_batches
from app.payouts.payout_file import Format, PayoutLine
from app.payouts.service import move_withdrawals

SHOWN = 10


@dataclass(frozen=True, slots=True)
class Exported:
    """`first` is true for the one export that handed the batch over; `content` holds names and accounts in full.

    `left_out`: payouts that Alipay's template could not name.
    """

    batch: PayoutBatch
    name: str
    content: bytes
    first: bool
    left_out: Sequence[str] = ()

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


async def export(
    session: AsyncSession,
    *,
    merchant_id: str,
    batch_id: str,
    format_: Format | AlipayFormat,
    actor_id: str,
    payer: Payer | None = None,
    now: datetime,
) -> Exported:
    """CSV and XLSX are written down at the first export: whatever is asked for later are the same payouts.

    Alipay's template, which wants a `payer`, is written when it is first asked for, while nothing has a result yet.
    Whom it cannot name is left out: failed, where no file is out that could pay them, and else as they were.
    """
    await acting.require(session, merchant_id=merchant_id, actor_id=actor_id, step="export")
    await lock_batches(session, merchant_id)
    batch = await queries.hold_batch(session, merchant_id=merchant_id, batch_id=batch_id)
    rules.require_step("sent" if batch.sent_at else batch.status, "export")
    first = batch.status == "approved"
    if first:
        await reconciliation.require_batch_adds_up(session, merchant_id=merchant_id, batch_id=batch.id)
        if format_ in alipay_file.ENCODINGS:
            await _fail_unnameable(session, batch, now)
        await _hand_over(session, batch, now)
    if format_ in alipay_file.ENCODINGS:
        await _write_alipay(session, batch, cast("AlipayFormat", format_), payer, now)
    file = await session.get_one(PayoutBatchFile, (merchant_id, batch.id, format_))
    content = base64.b64decode(file.content)
    left_out = await _left_out(session, batch, content) if format_ in alipay_file.ENCODINGS else []
    exported = Exported(batch, file.name, content, first, left_out)
    acting.record(
        session,
        merchant_id=merchant_id,
        actor_id=actor_id,
        action="payout_batch.exported",
        subject_id=batch.id,
        format=format_,
        sha256=exported.sha256,
        first=first,
        left_out=len(left_out),
    )
    await session.flush()
    return exported


async def _fail_unnameable(session: AsyncSession, batch: PayoutBatch, now: datetime) -> None:
    """Their commissions are payable again."""
    lines = await _lines(session, batch)
    out = {line.payout_id for line in lines if line.channel == "alipay" and not alipay_file.can_hold(line)}
    pairs = await queries.payouts_with_withdrawals(session, merchant_id=batch.merchant_id, batch_id=batch.id)
    failed = [pair for pair in pairs if pair[0].id in out]
    for payout, _ in failed:
        payout.status, payout.reason = "failed", alipay_file.REFUSED
    await outcomes.announce(session, merchant_id=batch.merchant_id, paid=[], failed=failed, now=now)


async def _left_out(session: AsyncSession, batch: PayoutBatch, content: bytes) -> list[str]:
    payouts = await queries.payouts_of_batch(session, merchant_id=batch.merchant_id, batch_id=batch.id)
    ids = [payout.id for payout in payouts if payout.status != "cancelled"]
    return [payout_id for payout_id in ids if not alipay_file.holds(content, payout_id)]


async def _has_results(session: AsyncSession, batch: PayoutBatch) -> bool:
    """Of its channel: to be left out is none."""
    payouts = await queries.payouts_of_batch(session, merchant_id=batch.merchant_id, batch_id=batch.id)
    told = [each for each in payouts if each.status not in ("submitting", "cancelled")]
    return any((each.status, each.reason) != ("failed", alipay_file.REFUSED) for each in told)


async def _hand_over(session: AsyncSession, batch: PayoutBatch, now: datetime) -> None:
    lines = await _lines(session, batch)
    for format_ in payout_file.FORMATS:
        content = payout_file.render(lines, format_, created=now)
        _keep(session, batch, format_, payout_file.file_name(batch.number, format_), content, now)
    created = update(Payout).where(
        Payout.merchant_id == batch.merchant_id, Payout.batch_id == batch.id, Payout.status == "created"
    )
    await session.execute(created.values(status="submitting"))
    await move_withdrawals(session, batch, "in_payout")
    batch.status, batch.exported_at = "exported", now
    await session.flush()


async def _write_alipay(
    session: AsyncSession, batch: PayoutBatch, format_: AlipayFormat, payer: Payer | None, now: datetime
) -> None:
    """Once. After a first result it is too late: the file would pay what was paid."""
    if await session.get(PayoutBatchFile, (batch.merchant_id, batch.id, format_)) is not None:
        return
    if payer is None:
        raise Unprocessable("payer_missing", "Alipay's template names who pays: give the payer's account and name.")
    if await _has_results(session, batch):
        raise Conflict("batch_has_results", "Some payouts have their result: a new file would pay them again.")
    lines = [line for line in await _lines(session, batch) if alipay_file.can_hold(line)]
    if not lines:
        nobody = ", ".join((await _left_out(session, batch, b""))[:SHOWN])
        raise Unprocessable(alipay_file.REFUSED, f"The template can name nobody of the batch: {nobody}.")
    content = alipay_file.render(lines, format_, number=batch.number, payer=payer, now=now)
    _keep(session, batch, format_, alipay_file.file_name(batch.number, format_), content, now)
    await session.flush()


def _keep(session: AsyncSession, batch: PayoutBatch, format_: str, name: str, content: bytes, now: datetime) -> None:
    session.add(
        PayoutBatchFile(
            merchant_id=batch.merchant_id,
            batch_id=batch.id,
            format=format_,
            name=name,
            content=base64.b64encode(content).decode(),
            created_at=now,
        )
    )


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
