from __future__ import annotations

from sqlalchemy import exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.ledger.rules import BUCKETS, Balance, member_account
from app.models import LedgerAccount, LedgerEntry


async def balance(session: AsyncSession, *, merchant_id: str, member_id: str, currency: str = "CNY") -> Balance:
    """All zero for a member that no money ever stood to."""
    accounts = select(LedgerAccount.kind, LedgerAccount.balance_minor).where(
        LedgerAccount.merchant_id == merchant_id,
        LedgerAccount.member_id == member_id,
        LedgerAccount.currency == currency,
    )
    found: dict[str, int] = {kind: amount or 0 for kind, amount in (await session.execute(accounts)).all()}
    paid = await _paid(session, merchant_id, member_id, currency)
    by_bucket = {f"{bucket}_minor": found.get(member_account(bucket), 0) for bucket in BUCKETS}
    return Balance(**by_bucket, paid_minor=paid, currency=currency)


async def _paid(session: AsyncSession, merchant_id: str, member_id: str, currency: str) -> int:
    """What left this member's accounts for `merchant_payout`: that account is the merchant's, so the counter-legs of
    its transactions tell whose money it was."""
    mine, other, outside = aliased(LedgerAccount), aliased(LedgerEntry), aliased(LedgerAccount)
    paid_out = exists().where(
        other.merchant_id == merchant_id,
        other.transaction_id == LedgerEntry.transaction_id,
        outside.merchant_id == merchant_id,
        outside.id == other.account_id,
        outside.kind == "merchant_payout",
    )
    total = (
        select(func.coalesce(-func.sum(LedgerEntry.amount_minor), 0))
        .join(mine, (mine.merchant_id == LedgerEntry.merchant_id) & (mine.id == LedgerEntry.account_id))
        .where(
            LedgerEntry.merchant_id == merchant_id,
            mine.member_id == member_id,
            mine.currency == currency,
            paid_out,
        )
    )
    return int(await session.scalar(total) or 0)
