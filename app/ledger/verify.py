"""Proves the ledger against itself and against the commissions it carries; whatever differs is named."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import RowMapping, TextClause, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.types import Id
from app.kit import ids
from app.ledger.checks import CHECKS, COUNTS, SCOPE


@dataclass(frozen=True, slots=True)
class Difference:
    """`subject` is what is at fault: a transaction, an account's owner, a commission, an order's leg."""

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
    orders: int
    differences: list[Difference]

    @property
    def clean(self) -> bool:
        return not self.differences


async def verify(session: AsyncSession, *, merchant_id: str | None) -> Report:
    """The report of one merchant, or of all (None, asked as *system*)."""
    scope = {"merchant_id": merchant_id, "everyone": merchant_id is None}
    differences: list[Difference] = []
    for check, statement in CHECKS.items():
        found = await session.execute(_scoped(statement + " ORDER BY 1, 3, 4"), scope)
        differences += [_difference(check, row) for row in found.mappings()]
    counts = (await session.execute(_scoped(COUNTS), scope)).mappings().one()
    return Report(**counts, differences=differences)


def _scoped(statement: str) -> TextClause:
    return text(SCOPE + statement).bindparams(bindparam("merchant_id", type_=Id("mch")))


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
