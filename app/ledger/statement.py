"""A member's statement: each entry on their accounts, with the balance it left behind."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.pages import Page, PageQuery
from app.kit import ids
from app.kit.errors import BadRequest
from app.models import LedgerAccount, LedgerEntry, LedgerTransaction


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


async def statement(
    session: AsyncSession, *, merchant_id: str, member_id: str, query: PageQuery
) -> Page[StatementLine]:
    running = func.sum(LedgerEntry.amount_minor).over(partition_by=LedgerEntry.account_id, order_by=LedgerEntry.number)
    lines = (
        select(
            LedgerEntry.number,
            LedgerEntry.transaction_id,
            LedgerTransaction.kind,
            LedgerTransaction.reference,
            LedgerAccount.kind.label("account"),
            LedgerEntry.amount_minor,
            running.label("balance_minor"),
            LedgerEntry.currency,
            LedgerTransaction.occurred_at,
            LedgerTransaction.created_at,
        )
        .join(LedgerAccount, LedgerAccount.id == LedgerEntry.account_id)
        .join(LedgerTransaction, LedgerTransaction.id == LedgerEntry.transaction_id)
        .where(
            LedgerEntry.merchant_id == merchant_id,
            LedgerAccount.merchant_id == merchant_id,
            LedgerTransaction.merchant_id == merchant_id,
            LedgerAccount.member_id == member_id,
        )
        .subquery()
    )
    page = select(lines).order_by(lines.c.number.desc()).limit(query.limit + 1)
    if query.cursor is not None:
        page = page.where(lines.c.number < _number(query.cursor))
    if query.created_from is not None:
        page = page.where(lines.c.created_at >= query.created_from)
    if query.created_before is not None:
        page = page.where(lines.c.created_at < query.created_before)
    found = [
        StatementLine(
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
        for row in await session.execute(page)
    ]
    more = len(found) > query.limit
    found = found[: query.limit]
    return Page(found, found[-1].id if more else None)


def _number(cursor: str) -> int:
    try:
        return min(ids.decode("ent", cursor).int, 2**63 - 1)
    except ValueError:
        raise BadRequest("cursor_invalid", "Use `next_cursor` of the previous page as it came.") from None
