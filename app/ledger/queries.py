from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.ledger.rules import BUCKETS, Balance, member_account
from app.models import LedgerAccount, Member


async def merchant_of(session: AsyncSession, *, member_id: str) -> str | None:
    """Whose member it is, as *system*: for people who know no more than the member's id."""
    found: str | None = await session.scalar(select(Member.merchant_id).where(Member.id == member_id))
    return found


async def balance(session: AsyncSession, *, merchant_id: str, member_id: str, currency: str = "CNY") -> Balance:
    """All zero for a member that no money ever stood to."""
    accounts = select(LedgerAccount.kind, LedgerAccount.balance_minor).where(
        LedgerAccount.merchant_id == merchant_id,
        LedgerAccount.member_id == member_id,
        LedgerAccount.currency == currency,
    )
    found: dict[str, int] = {kind: amount or 0 for kind, amount in (await session.execute(accounts)).all()}
    by_bucket = {f"{bucket}_minor": found.get(member_account(bucket), 0) for bucket in BUCKETS}
    return Balance(**by_bucket, currency=currency)
