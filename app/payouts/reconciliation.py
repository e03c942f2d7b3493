"""Payouts, withdrawals, commissions and the ledger say the same of the same money, or where they do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.types import Id
from app.kit import ids
from app.kit.errors import Conflict


@dataclass(frozen=True, slots=True)
class Difference:
    """`code` is stable, `check` says the same in words; `expected` and `found` are minor units, or counts where it says
    so.
    """

    check: str
    subject_id: str
    expected: int
    found: int
    code: str = "books_differ"


@dataclass(frozen=True, slots=True)
class Report:
    """`totals` by name: counts, and sums in minor units over all currencies."""

    totals: dict[str, int]
    differences: Sequence[Difference]

    def as_dict(self) -> dict[str, Any]:
        differences = [asdict(difference) for difference in self.differences]
        return {"ok": not differences, "totals": self.totals, "differences": differences}


@dataclass(frozen=True, slots=True)
class Check:
    """`sql` yields what to compare: `subject`, `expected`, `found`; `prefix` is of the subject's id."""

    name: str
    prefix: str
    sql: str
    code: str = "books_differ"


# What one batch consists of; with a batch given, of that one alone.
_OF_BATCHES = (
    Check(
        "a batch's total is the sum of its payouts",
        "bat",
        """SELECT b.id AS subject, b.total_minor AS expected, coalesce(sum(p.amount_minor), 0) AS found
        FROM payout_batches b LEFT JOIN payouts p
            ON p.merchant_id = b.merchant_id AND p.batch_id = b.id AND p.status <> 'cancelled'
        WHERE b.merchant_id = :merchant_id AND b.status <> 'cancelled' AND (:everything OR b.id = :batch_id)
        GROUP BY b.id, b.total_minor""",
    ),
    Check(
        "a batch's count is the number of its payouts",
        "bat",
        """SELECT b.id AS subject, b.payout_count AS expected, count(p.id) AS found
        FROM payout_batches b LEFT JOIN payouts p
            ON p.merchant_id = b.merchant_id AND p.batch_id = b.id AND p.status <> 'cancelled'
        WHERE b.merchant_id = :merchant_id AND b.status <> 'cancelled' AND (:everything OR b.id = :batch_id)
        GROUP BY b.id, b.payout_count""",
    ),
    Check(
        "a payout pays what its withdrawal asks for",
        "pay",
        """SELECT p.id AS subject, p.amount_minor AS found,
            w.amount_minor - CASE w.fee_bearer WHEN 'payee' THEN w.fee_minor ELSE 0 END AS expected
        FROM payouts p JOIN withdrawals w ON w.merchant_id = p.merchant_id AND w.id = p.withdrawal_id
        WHERE p.merchant_id = :merchant_id AND (:everything OR p.batch_id = :batch_id)""",
    ),
    Check(
        "a payout pays the commissions of its withdrawal",
        "pay",
        """SELECT p.id AS subject, w.amount_minor AS expected, coalesce(sum(c.amount_minor), 0) AS found
        FROM payouts p JOIN withdrawals w ON w.merchant_id = p.merchant_id AND w.id = p.withdrawal_id
        LEFT JOIN commissions c ON c.merchant_id = p.merchant_id AND c.withdrawal_id = p.withdrawal_id
            AND c.status = CASE p.status WHEN 'paid' THEN 'paid' ELSE 'in_payout' END
        WHERE p.merchant_id = :merchant_id AND p.status NOT IN ('failed', 'cancelled')
            AND (:everything OR p.batch_id = :batch_id)
        GROUP BY p.id, w.amount_minor""",
    ),
)

_OF_THE_MERCHANT = (
    Check(
        "an open withdrawal holds its commissions",
        "wdr",
        """SELECT w.id AS subject, w.amount_minor AS expected, coalesce(sum(c.amount_minor), 0) AS found
        FROM withdrawals w LEFT JOIN commissions c ON c.merchant_id = w.merchant_id AND c.withdrawal_id = w.id
            AND c.status = 'in_payout'
        WHERE w.merchant_id = :merchant_id AND w.status IN ('requested', 'approved', 'in_payout')
        GROUP BY w.id, w.amount_minor""",
    ),
    Check(
        "commissions in payout or paid belong to such a withdrawal (count)",
        "com",
        """SELECT c.id AS subject, 1 AS expected, count(w.id) AS found
        FROM commissions c LEFT JOIN withdrawals w ON w.merchant_id = c.merchant_id AND w.id = c.withdrawal_id
            AND (c.status = 'paid') = (w.status = 'paid') AND w.status NOT IN ('failed', 'cancelled', 'rejected')
        WHERE c.merchant_id = :merchant_id AND c.status IN ('in_payout', 'paid')
        GROUP BY c.id""",
    ),
    Check(
        "the ledger's member_in_payout is what open withdrawals ask for",
        "mbr",
        """SELECT member_id AS subject, sum(asked)::bigint AS expected, sum(booked)::bigint AS found FROM (
            SELECT member_id, currency, amount_minor AS asked, 0 AS booked FROM withdrawals
            WHERE merchant_id = :merchant_id AND status IN ('requested', 'approved', 'in_payout')
            UNION ALL SELECT member_id, currency, 0, balance_minor FROM ledger_accounts
            WHERE merchant_id = :merchant_id AND kind = 'member_in_payout') both_sides
        GROUP BY member_id, currency""",
    ),
    Check(
        "the ledger's member_payable is the sum of payable commissions",
        "mbr",
        """SELECT member_id AS subject, sum(earned)::bigint AS expected, sum(booked)::bigint AS found FROM (
            SELECT member_id, currency, amount_minor AS earned, 0 AS booked FROM commissions
            WHERE merchant_id = :merchant_id AND status = 'payable'
            UNION ALL SELECT member_id, currency, 0, balance_minor FROM ledger_accounts
            WHERE merchant_id = :merchant_id AND kind = 'member_payable') both_sides
        GROUP BY member_id, currency""",
    ),
    Check(
        "the ledger's member_paid is the sum of paid payouts",
        "mbr",
        """SELECT member_id AS subject, sum(paid)::bigint AS expected, sum(booked)::bigint AS found FROM (
            SELECT member_id, currency, amount_minor AS paid, 0 AS booked FROM payouts
            WHERE merchant_id = :merchant_id AND status = 'paid'
            UNION ALL SELECT member_id, currency, 0, balance_minor FROM ledger_accounts
            WHERE merchant_id = :merchant_id AND kind = 'member_paid') both_sides
        GROUP BY member_id, currency""",
    ),
    Check(
        "the ledger's payout_fees are what paid withdrawals were charged",
        "mch",
        """SELECT CAST(:merchant_id AS uuid) AS subject, coalesce(sum(charged), 0)::bigint AS expected,
            coalesce(sum(booked), 0)::bigint AS found FROM (
            SELECT currency, fee_minor AS charged, 0 AS booked FROM withdrawals
            WHERE merchant_id = :merchant_id AND status = 'paid'
            UNION ALL SELECT e.currency, 0, e.amount_minor FROM ledger_accounts a
            JOIN ledger_entries e ON e.merchant_id = a.merchant_id AND e.account_id = a.id
            WHERE a.merchant_id = :merchant_id AND a.kind = 'payout_fees') both_sides
        GROUP BY currency""",
    ),
    Check(
        "the funds put aside are no more than payouts under way will take",
        "mch",
        """SELECT CAST(:merchant_id AS uuid) AS subject, found, greatest(0, least(found, under_way)) AS expected FROM (
            SELECT sum(booked)::bigint AS found, sum(wanted)::bigint AS under_way FROM (
                SELECT p.currency, p.amount_minor + w.fee_minor AS wanted, 0 AS booked FROM payouts p
                JOIN withdrawals w ON w.merchant_id = p.merchant_id AND w.id = p.withdrawal_id
                JOIN payout_batches b ON b.merchant_id = p.merchant_id AND b.id = p.batch_id
                WHERE p.merchant_id = :merchant_id AND b.status IN ('approved', 'exported', 'sent')
                    AND p.status NOT IN ('paid', 'failed', 'cancelled')
                UNION ALL SELECT e.currency, 0, e.amount_minor FROM ledger_accounts a
                JOIN ledger_entries e ON e.merchant_id = a.merchant_id AND e.account_id = a.id
                WHERE a.merchant_id = :merchant_id AND a.kind = 'merchant_funds_reserved') both_sides
            GROUP BY currency) sums""",
    ),
    Check(
        "one transfer pays one payout (count)",
        "pay",
        """SELECT (array_agg(id ORDER BY id DESC))[1] AS subject, 1 AS expected, count(*) AS found FROM payouts
        WHERE merchant_id = :merchant_id AND status = 'paid' AND external_id IS NOT NULL
        GROUP BY coalesce(rail, ''), external_id""",
        "paid_twice",
    ),
)

_TOTALS = {
    "batches": "SELECT count(*) FROM payout_batches WHERE merchant_id = :merchant_id",
    "payouts": "SELECT count(*) FROM payouts WHERE merchant_id = :merchant_id",
    "withdrawals": "SELECT count(*) FROM withdrawals WHERE merchant_id = :merchant_id",
    "paid_minor": "SELECT sum(amount_minor) FROM payouts WHERE merchant_id = :merchant_id AND status = 'paid'",
    "in_payout_minor": "SELECT sum(amount_minor) FROM commissions"
    " WHERE merchant_id = :merchant_id AND status = 'in_payout'",
    "payable_minor": "SELECT sum(amount_minor) FROM commissions"
    " WHERE merchant_id = :merchant_id AND status = 'payable'",
}


async def reconcile(session: AsyncSession, *, merchant_id: str, batch_id: str | None = None) -> Report:
    """Batches (or the one given) against their parts; the merchant's ledger against commissions and payouts."""
    differences = [
        difference
        for check in (*_OF_BATCHES, *_OF_THE_MERCHANT)
        for difference in await _run(session, check, merchant_id, batch_id)
    ]
    totals = {name: await _total(session, sql, merchant_id) for name, sql in _TOTALS.items()}
    return Report(totals, differences)


async def require_batch_adds_up(session: AsyncSession, *, merchant_id: str, batch_id: str) -> None:
    """The last look before a batch goes on: Conflict `batch_does_not_add_up` where its parts differ."""
    for check in _OF_BATCHES:
        for difference in await _run(session, check, merchant_id, batch_id):
            raise Conflict(
                "batch_does_not_add_up",
                f"{difference.subject_id}: {check.name}: {difference.expected} expected, {difference.found} found.",
            )


async def _run(session: AsyncSession, check: Check, merchant_id: str, batch_id: str | None) -> list[Difference]:
    sql = f"SELECT * FROM ({check.sql}) compared WHERE expected <> found ORDER BY subject"  # noqa: S608 - constants
    statement = text(sql).bindparams(bindparam("merchant_id", type_=Id("mch")))
    parameters: dict[str, Any] = {"merchant_id": merchant_id}
    if check in _OF_BATCHES:
        statement = statement.bindparams(bindparam("batch_id", type_=Id("bat")), bindparam("everything"))
        parameters |= {"batch_id": batch_id, "everything": batch_id is None}
    rows = await session.execute(statement, parameters)
    return [Difference(check.name, _id(check.prefix, row.subject), row.expected, row.found, check.code) for row in rows]


async def _total(session: AsyncSession, sql: str, merchant_id: str) -> int:
    statement = text(sql).bindparams(bindparam("merchant_id", type_=Id("mch")))
    return int(await session.scalar(statement, {"merchant_id": merchant_id}) or 0)


def _id(prefix: str, subject: UUID) -> str:
    return ids.encode(prefix, subject)
