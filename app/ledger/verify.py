"""Proves the ledger against itself and against the commissions it carries; whatever differs is named."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import RowMapping, TextClause, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.types import Id
from app.kit import ids


@dataclass(frozen=True, slots=True)
class Difference:
    """`subject` is what is at fault: a transaction, an account's owner, a commission."""

    check: str
    merchant_id: str
    subject: str
    currency: str
    expected_minor: int
    found_minor: int


@dataclass(frozen=True, slots=True)
class Report:
    """What was looked at, and the differences found; an honest ledger has none."""

    transactions: int
    entries: int
    accounts: int
    commissions: int
    differences: list[Difference]

    @property
    def clean(self) -> bool:
        return not self.differences


_SCOPE = """
    WITH accounts AS (SELECT * FROM ledger_accounts WHERE :everyone OR merchant_id = :merchant_id),
         entries AS (SELECT * FROM ledger_entries WHERE :everyone OR merchant_id = :merchant_id),
         transactions AS (SELECT * FROM ledger_transactions WHERE :everyone OR merchant_id = :merchant_id),
         earnings AS (SELECT * FROM commissions WHERE :everyone OR merchant_id = :merchant_id)
"""

_COUNTS = """
    SELECT (SELECT count(*) FROM transactions) AS transactions, (SELECT count(*) FROM entries) AS entries,
           (SELECT count(*) FROM accounts) AS accounts, (SELECT count(*) FROM earnings) AS commissions"""

# Each gives merchant_id, prefix, subject (a uuid), detail, currency, expected, found: one row a difference.
_CHECKS = {
    "transaction_sums_to_zero": """
        SELECT merchant_id, 'txn' AS prefix, transaction_id AS subject, '' AS detail, currency,
               0 AS expected, sum(amount_minor) AS found
        FROM entries
        GROUP BY merchant_id, transaction_id, currency HAVING sum(amount_minor) <> 0""",
    "balance_is_the_sum_of_entries": """
        SELECT a.merchant_id, 'mbr' AS prefix, a.member_id AS subject, a.kind AS detail, a.currency,
               coalesce(e.total, 0) AS expected, a.balance_minor AS found
        FROM accounts a
        LEFT JOIN (SELECT merchant_id, account_id, sum(amount_minor) AS total FROM entries
                   GROUP BY merchant_id, account_id) e ON e.merchant_id = a.merchant_id AND e.account_id = a.id
        WHERE a.member_id IS NOT NULL AND a.balance_minor <> coalesce(e.total, 0)""",
    "bucket_holds_the_commissions_of_its_status": """
        SELECT coalesce(a.merchant_id, c.merchant_id) AS merchant_id, 'mbr' AS prefix,
               coalesce(a.member_id, c.member_id) AS subject, coalesce(a.kind, c.kind) AS detail,
               coalesce(a.currency, c.currency) AS currency,
               coalesce(c.total, 0) AS expected, coalesce(a.balance_minor, 0) AS found
        FROM (SELECT * FROM accounts WHERE member_id IS NOT NULL) a
        FULL JOIN (SELECT merchant_id, member_id, 'member_' || status AS kind, currency, sum(amount_minor) AS total
                   FROM (SELECT merchant_id, member_id, status, currency, amount_minor FROM earnings
                         WHERE status IN ('pending', 'held', 'payable', 'in_payout', 'paid')
                         UNION ALL
                         SELECT merchant_id, member_id, status, currency, -fee_minor FROM withdrawals
                         WHERE status = 'paid' AND fee_bearer = 'payee' AND (:everyone OR merchant_id = :merchant_id)
                        ) less_fees
                   GROUP BY merchant_id, member_id, status, currency) c
            ON c.merchant_id = a.merchant_id AND c.member_id = a.member_id AND c.kind = a.kind
               AND c.currency = a.currency
        WHERE coalesce(a.balance_minor, 0) <> coalesce(c.total, 0)""",
    "refunds_take_back_no_more_than_was_earned": """
        SELECT merchant_id, 'com' AS prefix, coalesce(reverses_id, id) AS subject, '' AS detail, currency,
               0 AS expected, sum(amount_minor) AS found
        FROM earnings
        GROUP BY merchant_id, coalesce(reverses_id, id), currency HAVING sum(amount_minor) < 0""",
    "reversed_commission_nets_to_zero": """
        SELECT merchant_id, 'com' AS prefix, coalesce(reverses_id, id) AS subject, '' AS detail, currency,
               0 AS expected, sum(amount_minor) FILTER (WHERE status = 'reversed') AS found
        FROM earnings
        GROUP BY merchant_id, coalesce(reverses_id, id), currency
        HAVING sum(amount_minor) FILTER (WHERE status = 'reversed') <> 0""",
    "budget_counts_what_was_earned": """
        SELECT b.merchant_id, 'cmp' AS prefix, b.id AS subject, '' AS detail, b.currency,
               coalesce(sum(e.amount_minor), 0) AS expected, b.commission_minor AS found
        FROM (SELECT * FROM campaigns
              WHERE budget_minor IS NOT NULL AND (:everyone OR merchant_id = :merchant_id)) b
        LEFT JOIN earnings e ON e.merchant_id = b.merchant_id AND e.campaign_id = b.id AND e.status <> 'rejected'
        GROUP BY b.merchant_id, b.id, b.currency, b.commission_minor
        HAVING coalesce(sum(e.amount_minor), 0) <> b.commission_minor""",
}


async def verify(session: AsyncSession, *, merchant_id: str | None) -> Report:
    """The report of one merchant, or of all (None, asked as *system*)."""
    scope = {"merchant_id": merchant_id, "everyone": merchant_id is None}
    differences: list[Difference] = []
    for check, statement in _CHECKS.items():
        found = await session.execute(_scoped(statement + " ORDER BY 1, 3, 4"), scope)
        differences += [_difference(check, row) for row in found.mappings()]
    counts = (await session.execute(_scoped(_COUNTS), scope)).mappings().one()
    return Report(**counts, differences=differences)


def _scoped(statement: str) -> TextClause:
    return text(_SCOPE + statement).bindparams(bindparam("merchant_id", type_=Id("mch")))


def _difference(check: str, row: RowMapping) -> Difference:
    subject = ids.encode(row["prefix"], row["subject"])
    return Difference(
        check=check,
        merchant_id=ids.encode("mch", row["merchant_id"]),
        subject=f"{subject} {row['detail']}".strip(),
        currency=row["currency"],
        expected_minor=int(row["expected"]),
        found_minor=int(row["found"]),
    )
