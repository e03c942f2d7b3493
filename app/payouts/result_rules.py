"""Which rows of a result file are followed. A row is followed only where it can be read in one way."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.payouts import result_echo
from app.payouts.result_file import Fault, ResultFile, ResultRow

# Of other people's clocks, and of a plain date, which is the beginning of its day.
CLOCK_TOLERANCE = timedelta(days=1)
SETTLED = frozenset({"paid", "failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class Known:
    """What is recorded of one payout of the batch."""

    status: str
    external_id: str | None
    reason: str | None = None
    paid_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What a file is held against: the payouts of its batch, the batch's `exported_at`, the cells exported of each
    payout, and which payout is recorded as paid by an `external_id` of the file, in whatever batch."""

    payouts: Mapping[str, Known]
    exported_at: datetime | None = None
    exported: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    paid_by: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Verdict:
    """`apply` changes something, `unchanged` says what is known already, `refused` touches nothing."""

    apply: list[ResultRow] = field(default_factory=list)
    unchanged: list[ResultRow] = field(default_factory=list)
    refused: list[Fault] = field(default_factory=list)


def judge(file: ResultFile, facts: Facts, *, now: datetime) -> Verdict:
    verdict = Verdict(refused=list(file.faults))
    by_payout: dict[str, list[ResultRow]] = defaultdict(list)
    for row in file.rows:
        by_payout[row.payout_id].append(row)
    unreadable = {fault.payout_id: fault.line for fault in file.faults}
    claims = _claims(file.rows)
    for payout_id, rows in by_payout.items():
        if payout_id in unreadable:
            detail = f"line {unreadable[payout_id]} speaks of the same payout and cannot be read; none was followed"
            verdict.refused += [_fault(row, "rows_contradict", detail) for row in rows]
            continue
        first = _the_one(verdict, rows, facts)
        if first is not None:
            _compare(verdict, first, facts, claims, now)
    verdict.refused.sort(key=lambda fault: fault.line)
    return verdict


def _claims(rows: Sequence[ResultRow]) -> dict[str, set[str]]:
    """By external id: the payouts that the file says were paid by it."""
    found: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.status == "paid" and row.external_id is not None:
            found[row.external_id].add(row.payout_id)
    return found


def _the_one(verdict: Verdict, rows: Sequence[ResultRow], facts: Facts) -> ResultRow | None:
    """The row that speaks for its payout."""
    first, lines = rows[0], ", ".join(str(row.line) for row in rows)
    if first.payout_id not in facts.payouts:
        verdict.refused += [_fault(row, "payout_unknown", "no such payout in this batch") for row in rows]
        return None
    if any(_said(row) != _said(first) for row in rows):
        detail = f"lines {lines} contradict each other; none was followed"
        verdict.refused += [_fault(row, "rows_contradict", detail) for row in rows]
        return None
    detail = f"the same as line {first.line}, which was read"
    verdict.refused += [_fault(row, "row_duplicate", detail) for row in rows[1:]]
    return first


def _compare(verdict: Verdict, row: ResultRow, facts: Facts, claims: Mapping[str, set[str]], now: datetime) -> None:
    fault = _changed(row, facts) or _contrary(row, facts, claims, now)
    if fault is not None:
        verdict.refused.append(fault)
    elif facts.payouts[row.payout_id].status in SETTLED:
        verdict.unchanged.append(row)
    else:
        verdict.apply.append(row)


def _changed(row: ResultRow, facts: Facts) -> Fault | None:
    """Otherwise than what was exported, or than what was recorded before."""
    exported = facts.exported.get(row.payout_id)
    said = None if exported is None else result_echo.changes(row, exported)
    if said is not None:
        return _fault(row, "row_changed", f"not as it was exported: {said}; nothing was changed")
    known = facts.payouts[row.payout_id]
    if known.status not in SETTLED or _agrees(row, known):
        return None
    recorded = f"{known.status} {known.external_id or ''}".strip()
    at = f" at {known.paid_at.isoformat()}" if known.paid_at else ""
    why = f" ({known.reason})" if known.reason else ""
    return _fault(row, "result_changed", f"recorded before as {recorded}{at}{why}; nothing was changed")


def _agrees(row: ResultRow, known: Known) -> bool:
    """What is left out is not said otherwise. When a failed one was tried is not recorded."""
    paid_at = row.paid_at if row.status == "paid" else None
    said = (row.external_id or known.external_id, row.reason or known.reason, paid_at or known.paid_at)
    return (row.status, *said) == (known.status, known.external_id, known.reason, known.paid_at)


def _contrary(row: ResultRow, facts: Facts, claims: Mapping[str, set[str]], now: datetime) -> Fault | None:
    """A result that is news, and cannot be."""
    if facts.payouts[row.payout_id].status in SETTLED:
        return None
    if row.paid_at is not None and row.paid_at > now + CLOCK_TOLERANCE:
        return _fault(row, "paid_at_in_future", "paid_at lies in the future")
    if row.paid_at is not None and facts.exported_at and row.paid_at < facts.exported_at - CLOCK_TOLERANCE:
        return _fault(row, "paid_at_before_export", "paid_at lies before the batch was exported")
    if row.status != "paid" or row.external_id is None:
        return None
    others = claims[row.external_id] - {row.payout_id} | {facts.paid_by.get(row.external_id, row.payout_id)}
    twice = sorted(others - {row.payout_id})
    if twice:
        return _fault(row, "external_id_repeated", f"one transfer cannot have paid {', '.join(twice[:3])} as well")
    return None


def _said(row: ResultRow) -> tuple[object, ...]:
    return row.status, row.external_id, row.reason, row.paid_at, row.echoed


def _fault(row: ResultRow, code: str, detail: str) -> Fault:
    return Fault(row.line, row.payout_id, code, detail)
