"""Which rows of a result file are followed. A row is followed only where it can be read in one way."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.payouts.result_file import Fault, ResultFile, ResultRow

CLOCK_TOLERANCE = timedelta(days=1)
SETTLED = frozenset({"paid", "failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class Known:
    """What is recorded of one payout of the batch."""

    status: str
    external_id: str | None


@dataclass(slots=True)
class Verdict:
    """`apply` changes something, `unchanged` says what is known already, `refused` touches nothing."""

    apply: list[ResultRow] = field(default_factory=list)
    unchanged: list[ResultRow] = field(default_factory=list)
    refused: list[Fault] = field(default_factory=list)


def judge(file: ResultFile, known: Mapping[str, Known], *, now: datetime) -> Verdict:
    verdict = Verdict(refused=list(file.faults))
    by_payout: dict[str, list[ResultRow]] = defaultdict(list)
    for row in file.rows:
        by_payout[row.payout_id].append(row)
    unreadable = {fault.payout_id: fault.line for fault in file.faults}
    for payout_id, rows in by_payout.items():
        if payout_id in unreadable:
            detail = f"line {unreadable[payout_id]} speaks of the same payout and cannot be read; none was followed"
            verdict.refused += [_fault(row, "rows_contradict", detail) for row in rows]
        else:
            _judge_one(verdict, rows, known.get(payout_id), now)
    verdict.refused.sort(key=lambda fault: fault.line)
    return verdict


def _judge_one(verdict: Verdict, rows: Sequence[ResultRow], known: Known | None, now: datetime) -> None:
    first, lines = rows[0], ", ".join(str(row.line) for row in rows)
    if known is None:
        verdict.refused += [_fault(row, "payout_unknown", "no such payout in this batch") for row in rows]
        return
    if any(_said(row) != _said(first) for row in rows):
        detail = f"lines {lines} contradict each other; none was followed"
        verdict.refused += [_fault(row, "rows_contradict", detail) for row in rows]
        return
    detail = f"the same as line {first.line}, which was read"
    verdict.refused += [_fault(row, "row_duplicate", detail) for row in rows[1:]]
    _compare(verdict, first, known, now)


def _compare(verdict: Verdict, row: ResultRow, known: Known, now: datetime) -> None:
    if known.status not in SETTLED:
        if row.paid_at is not None and row.paid_at > now + CLOCK_TOLERANCE:
            verdict.refused.append(_fault(row, "paid_at_in_future", "paid_at lies in the future"))
        else:
            verdict.apply.append(row)
    elif (known.status, row.external_id or known.external_id) == (row.status, known.external_id):
        verdict.unchanged.append(row)
    else:
        recorded = f"{known.status} {known.external_id or ''}".strip()
        verdict.refused.append(_fault(row, "result_changed", f"recorded before as {recorded}; nothing was changed"))


def _said(row: ResultRow) -> tuple[object, ...]:
    return row.status, row.external_id, row.reason, row.paid_at


def _fault(row: ResultRow, code: str, detail: str) -> Fault:
    return Fault(row.line, row.payout_id, code, detail)
