"""What became of an exported batch, as its channel reports it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.models import Payout, PayoutBatch, PayoutBatchFile
from app.payouts import acting, outcomes, queries, result_echo, result_rules, rules
from app.payouts.locks import lock_batches
from app.payouts.moves import Progress, silent
from app.payouts.outcomes import Pair
from app.payouts.result_file import Fault, ResultFile, ResultRow
from app.payouts.result_rules import SETTLED, Known


@dataclass(frozen=True, slots=True)
class Imported:
    """`paid` and `failed` were recorded now, `unchanged` before; `refused` rows touched nothing; `open` are still
    without a result."""

    batch: PayoutBatch
    paid: int
    failed: int
    unchanged: int
    open: int
    refused: Sequence[Fault]

    def as_dict(self) -> dict[str, Any]:
        counts = {name: getattr(self, name) for name in ("paid", "failed", "unchanged", "open")}
        return {**counts, "refused": [asdict(fault) for fault in self.refused]}


async def import_results(
    session: AsyncSession,
    *,
    merchant_id: str,
    batch_id: str,
    file: ResultFile,
    actor_id: str,
    now: datetime,
    progress: Progress = silent,
) -> Imported:
    """Follow each row that can be read in one way; part of a batch is enough, and the same file again changes nothing.

    When every payout has its result the batch is settled.
    """
    await acting.require(session, merchant_id=merchant_id, actor_id=actor_id, step="import")
    await lock_batches(session, merchant_id)
    batch = await queries.hold_batch(session, merchant_id=merchant_id, batch_id=batch_id)
    rules.require_step("sent" if batch.sent_at else batch.status, "import")
    payouts = await queries.payouts_of_batch(session, merchant_id=merchant_id, batch_id=batch.id)
    verdict = result_rules.judge(file, await _facts(session, batch, payouts, file), now=now)
    paid, failed = await _apply(session, batch, verdict.apply, now)
    await outcomes.announce(session, merchant_id=merchant_id, paid=paid, failed=failed, now=now, progress=progress)
    unsettled = sum(payout.status not in SETTLED for payout in payouts)
    await outcomes.settle_batch(session, batch, now=now)
    imported = Imported(batch, len(paid), len(failed), len(verdict.unchanged), unsettled, verdict.refused)
    _record(session, imported, actor_id)
    await session.flush()
    return imported


async def _facts(
    session: AsyncSession, batch: PayoutBatch, payouts: Sequence[Payout], file: ResultFile
) -> result_rules.Facts:
    own: dict[str, Any] = {"merchant_id": batch.merchant_id}
    known = {each.id: Known(each.status, each.external_id, each.reason, each.paid_at) for each in payouts}
    named = {row.external_id for row in file.rows if row.external_id is not None}
    paid_by = await queries.paid_by_hand(session, **own, external_ids=named)
    exported: dict[str, dict[str, str]] = {}
    if any(row.echoed for row in file.rows):
        handed_out = await session.get_one(PayoutBatchFile, (batch.merchant_id, batch.id, "csv"))
        exported = result_echo.exported_rows(base64.b64decode(handed_out.content))
    return result_rules.Facts(known, batch.exported_at, exported, paid_by)


async def _apply(
    session: AsyncSession, batch: PayoutBatch, rows: Sequence[ResultRow], now: datetime
) -> tuple[list[Pair], list[Pair]]:
    by_id = {row.payout_id: row for row in rows}
    pairs = await queries.payouts_with_withdrawals(session, merchant_id=batch.merchant_id, batch_id=batch.id)
    reported = [pair for pair in pairs if pair[0].id in by_id]
    for payout, _ in reported:
        row = by_id[payout.id]
        payout.status, payout.external_id, payout.reason = row.status, row.external_id, row.reason
        payout.paid_at = (row.paid_at or now) if row.status == "paid" else None
    return (
        [pair for pair in reported if pair[0].status == "paid"],
        [pair for pair in reported if pair[0].status == "failed"],
    )


def _record(session: AsyncSession, imported: Imported, actor_id: str) -> None:
    acting.record(
        session,
        merchant_id=imported.batch.merchant_id,
        actor_id=actor_id,
        action="payout_batch.results_imported",
        subject_id=imported.batch.id,
        paid=imported.paid,
        failed=imported.failed,
        unchanged=imported.unchanged,
        refused=len(imported.refused),
    )
