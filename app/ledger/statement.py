"""Statements of a member, or of a merchant's own accounts: each entry with the balance it left behind, and what stood
on every account before and after."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, DateTime, Row, TextualSelect, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.pages import Page, PageQuery
from app.db.types import Id
from app.kit import ids
from app.kit.errors import BadRequest, Conflict
from app.models.ledger import MEMBER_KINDS, MERCHANT_KINDS

END = 2**63 - 1
PAGE = 10_000


@dataclass(frozen=True, slots=True)
class StatementLine:
    """`balance_minor` is what stood on `account` after this entry; `fee_minor` was withheld from a payout besides."""

    id: str
    transaction_id: str
    kind: str
    reference: str
    account: str
    amount_minor: int
    balance_minor: int
    fee_minor: int
    currency: str
    occurred_at: datetime
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Edge:
    """What stood on an account before and after the time that the statement is of."""

    account: str
    currency: str
    opening_minor: int
    closing_minor: int


@dataclass(frozen=True, slots=True)
class Statement:
    page: Page[StatementLine]
    edges: Sequence[Edge]


def entry_id(number: int) -> str:
    """Entries are numbered by the database; the number in a TypeID's clothes serves as id and as cursor."""
    return ids.encode("ent", uuid.UUID(int=number))


# A page is read off the newest end of each account, and its balances are reckoned back from the account's own, so that
# a long history of a member costs no more than what is shown of it; a merchant's accounts keep no balance, and are
# added up. Entries that a filter hides count, too. All in one statement: what is posted meanwhile is in all of it or
# in none.
_SQL = """
    WITH mine AS MATERIALIZED (
        SELECT a.id, a.kind, a.currency, coalesce(a.balance_minor, (
            SELECT coalesce(sum(amount_minor), 0) FROM ledger_entries
            WHERE merchant_id = :merchant_id AND account_id = a.id)) AS balance_minor
        FROM ledger_accounts a
        WHERE a.merchant_id = :merchant_id AND a.kind = ANY (CAST(:kinds AS text[]))
            AND a.member_id {owner}),
    page AS MATERIALIZED (
        SELECT e.number, e.transaction_id, t.kind, t.reference, t.occurred_at, t.created_at, e.account_id,
               a.kind AS account, a.balance_minor, e.amount_minor, e.currency
        FROM mine a
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
             AND e.number BETWEEN s.first AND s.last),
    later AS (
        SELECT e.account_id, sum(e.amount_minor) FILTER (WHERE t.created_at >= :created_from) AS from_opening,
               sum(e.amount_minor) FILTER (WHERE t.created_at >= :created_before) AS from_closing
        FROM mine a JOIN ledger_entries e ON e.merchant_id = :merchant_id AND e.account_id = a.id
        JOIN ledger_transactions t ON t.merchant_id = :merchant_id AND t.id = e.transaction_id
             AND t.created_at >= LEAST(CAST(:created_from AS timestamptz), CAST(:created_before AS timestamptz))
        GROUP BY 1)
    SELECT page.number, page.transaction_id, page.kind, page.reference, page.account, page.amount_minor,
           running.balance_minor, page.currency, page.occurred_at, page.created_at,
           CASE page.account WHEN 'member_paid' THEN (
               SELECT coalesce(sum(f.amount_minor), 0) FROM ledger_entries f
               JOIN ledger_accounts fees ON fees.merchant_id = :merchant_id AND fees.id = f.account_id
                    AND fees.kind = 'payout_fees'
               WHERE f.merchant_id = :merchant_id AND f.transaction_id = page.transaction_id) ELSE 0 END AS fee_minor,
           NULL AS opening_minor
    FROM page JOIN running ON running.number = page.number
    UNION ALL
    SELECT NULL, NULL, NULL, NULL, a.kind, NULL, a.balance_minor - coalesce(later.from_closing, 0), a.currency, NULL,
           NULL, NULL, CASE WHEN CAST(:created_from AS timestamptz) IS NULL THEN 0
                       ELSE a.balance_minor - coalesce(later.from_opening, 0) END
    FROM mine a LEFT JOIN later ON later.account_id = a.id
    ORDER BY number DESC NULLS LAST, currency, account
"""


def _statement(owner: str, *parameters: BindParameter[Any]) -> TextualSelect:
    bounds = [bindparam(name, type_=DateTime(timezone=True)) for name in ("created_from", "created_before")]
    sql = text(_SQL.replace("{owner}", owner)).bindparams(bindparam("merchant_id", type_=Id("mch")), *bounds)
    return sql.bindparams(*parameters).columns(transaction_id=Id("txn"))


# `IS NOT DISTINCT FROM` would do for both, but no index answers it.
_OF_MEMBER = _statement("= :member_id", bindparam("member_id", type_=Id("mbr")))
_OF_MERCHANT = _statement("IS NULL")


async def statement(session: AsyncSession, *, merchant_id: str, member_id: str | None, query: PageQuery) -> Statement:
    """Of a member, or of the merchant's own accounts; `created_*` bound the time, by when an entry was written."""
    sql, owner = (_OF_MERCHANT, {}) if member_id is None else (_OF_MEMBER, {"member_id": member_id})
    wanted = {
        **owner,
        "merchant_id": merchant_id,
        "kinds": list(MERCHANT_KINDS if member_id is None else MEMBER_KINDS),
        "before": END if query.cursor is None else _number(query.cursor),
        "created_from": query.created_from,
        "created_before": query.created_before,
        "most": query.limit + 1,
    }
    rows = (await session.execute(sql, wanted)).all()
    found = [_line(row) for row in rows if row.number is not None]
    more = len(found) > query.limit
    found = found[: query.limit]
    edges = [_edge(row) for row in rows if row.number is None]
    return Statement(Page(found, found[-1].id if more else None), edges)


def _line(row: Row[Any]) -> StatementLine:
    return StatementLine(
        id=entry_id(row.number),
        transaction_id=row.transaction_id,
        kind=row.kind,
        reference=row.reference,
        account=row.account.removeprefix("member_"),
        amount_minor=row.amount_minor,
        balance_minor=int(row.balance_minor),
        fee_minor=int(row.fee_minor),
        currency=row.currency,
        occurred_at=row.occurred_at,
        created_at=row.created_at,
    )


def _edge(row: Row[Any]) -> Edge:
    account = row.account.removeprefix("member_")
    return Edge(account, row.currency, int(row.opening_minor), int(row.balance_minor))


def _number(cursor: str) -> int:
    try:
        return min(ids.decode("ent", cursor).int, END)
    except ValueError:
        raise BadRequest("cursor_invalid", "Use `next_cursor` of the previous page as it came.") from None


async def whole(
    session: AsyncSession,
    *,
    merchant_id: str,
    member_id: str | None,
    created_from: datetime | None,
    created_before: datetime | None,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[list[StatementLine], Sequence[Edge]]:
    """All pages, oldest entry first.

    Conflict `statement_overtaken` where money moved between pages, so that they do not add up to one statement.
    """
    query = PageQuery(PAGE, created_from=created_from, created_before=created_before)
    found = await statement(session, merchant_id=merchant_id, member_id=member_id, query=query)
    lines, edges = [*found.page.rows], found.edges
    progress(len(lines))
    while found.page.next_cursor is not None:
        query = replace(query, cursor=found.page.next_cursor)
        found = await statement(session, merchant_id=merchant_id, member_id=member_id, query=query)
        lines += found.page.rows
        progress(len(lines))
    sums: dict[tuple[str, str], int] = {(edge.account, edge.currency): edge.opening_minor for edge in edges}
    for line in lines:
        sums[line.account, line.currency] = sums.get((line.account, line.currency), 0) + line.amount_minor
    if any(sums[edge.account, edge.currency] != edge.closing_minor for edge in edges) or len(sums) != len(edges):
        raise Conflict("statement_overtaken", "Money moved while it was read: read it again.")
    return lines[::-1], edges
