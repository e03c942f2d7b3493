"""A member's statement: each entry on their accounts, with the balance it left behind."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, Row, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.pages import Page, PageQuery
from app.db.types import Id
from app.kit import ids
from app.kit.errors import BadRequest

END = 2**63 - 1


@dataclass(frozen=True, slots=True)
class StatementLine:
    """`balance_minor` is the running balance of `bucket` after this entry."""

    id: str
    transaction_id: str
    kind: str
    reference: str
    bucket: str
    amount_minor: int
    balance_minor: int
    currency: str
    occurred_at: datetime
    created_at: datetime


def entry_id(number: int) -> str:
    """Entries are numbered by the database; the number in a TypeID's clothes serves as id and as cursor."""
    return ids.encode("ent", uuid.UUID(int=number))


# A page is read off the newest end of each account, and its balances are reckoned back from the one in the account's
# row, so that a long history costs no more than what is shown of it. Entries that a filter hides count, too.
_PAGE = (
    text("""
    WITH page AS MATERIALIZED (
        SELECT e.number, e.transaction_id, t.kind, t.reference, t.occurred_at, t.created_at, e.account_id,
               a.kind AS account, a.balance_minor, e.amount_minor, e.currency
        FROM ledger_accounts a
        CROSS JOIN LATERAL (
            SELECT * FROM ledger_entries
            WHERE merchant_id = :merchant_id AND account_id = a.id AND number < :before
              AND (CAST(:created_from AS timestamptz) IS NULL OR EXISTS (
                  SELECT 1 FROM ledger_transactions WHERE merchant_id = :merchant_id AND id = transaction_id
                  AND created_at >= :created_from))
              AND (CAST(:created_before AS timestamptz) IS NULL OR EXISTS (
                  SELECT 1 FROM ledger_transactions WHERE merchant_id = :merchant_id AND id = transaction_id
                  AND created_at < :created_before))
            ORDER BY number DESC LIMIT :most) e
        JOIN ledger_transactions t ON t.merchant_id = :merchant_id AND t.id = e.transaction_id
        WHERE a.merchant_id = :merchant_id AND a.member_id = :member_id
        ORDER BY e.number DESC LIMIT :most),
    spans AS (
        SELECT account_id, balance_minor, min(number) AS first, max(number) AS last FROM page GROUP BY 1, 2),
    running AS (
        SELECT e.number, s.balance_minor
               - (SELECT coalesce(sum(newer.amount_minor), 0) FROM ledger_entries newer
                  WHERE newer.merchant_id = :merchant_id AND newer.account_id = s.account_id AND newer.number > s.last)
               - coalesce(sum(e.amount_minor) OVER (PARTITION BY e.account_id ORDER BY e.number DESC
                   ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS balance_minor
        FROM spans s JOIN ledger_entries e ON e.merchant_id = :merchant_id AND e.account_id = s.account_id
             AND e.number BETWEEN s.first AND s.last)
    SELECT page.number, page.transaction_id, page.kind, page.reference, page.account, page.amount_minor,
           running.balance_minor, page.currency, page.occurred_at, page.created_at
    FROM page JOIN running ON running.number = page.number ORDER BY page.number DESC
""")
    .bindparams(
        bindparam("merchant_id", type_=Id("mch")),
        bindparam("member_id", type_=Id("mbr")),
        bindparam("created_from", type_=DateTime(timezone=True)),
        bindparam("created_before", type_=DateTime(timezone=True)),
    )
    .columns(transaction_id=Id("txn"))
)


async def statement(
    session: AsyncSession, *, merchant_id: str, member_id: str, query: PageQuery
) -> Page[StatementLine]:
    wanted = {
        "merchant_id": merchant_id,
        "member_id": member_id,
        "before": END if query.cursor is None else _number(query.cursor),
        "created_from": query.created_from,
        "created_before": query.created_before,
        "most": query.limit + 1,
    }
    found = [_line(row) for row in await session.execute(_PAGE, wanted)]
    more = len(found) > query.limit
    found = found[: query.limit]
    return Page(found, found[-1].id if more else None)


def _line(row: Row[Any]) -> StatementLine:
    return StatementLine(
        id=entry_id(row.number),
        transaction_id=row.transaction_id,
        kind=row.kind,
        reference=row.reference,
        bucket=row.account.removeprefix("member_"),
        amount_minor=row.amount_minor,
        balance_minor=int(row.balance_minor),
        currency=row.currency,
        occurred_at=row.occurred_at,
        created_at=row.created_at,
    )


def _number(cursor: str) -> int:
    try:
        return min(ids.decode("ent", cursor).int, END)
    except ValueError:
        raise BadRequest("cursor_invalid", "Use `next_cursor` of the previous page as it came.") from None
