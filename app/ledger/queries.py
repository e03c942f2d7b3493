from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.ledger.rules import BUCKETS, Balance, member_account
from app.models import LedgerAccount


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
