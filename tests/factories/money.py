from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit import clock, ids
from app.ledger import service
from app.ledger.service import Leg
from app.models import LedgerAccount, LedgerEntry


async def move(session: AsyncSession, merchant_id: str, *legs: Leg, kind: str = "test", reference: str = "") -> str:
    """One ledger transaction, posted now; `reference` is a new one where none is given."""
    posted = await service.post(
        session,
        merchant_id=merchant_id,
        kind=kind,
        reference=reference or ids.new("tst"),
        occurred_at=clock.utcnow(),
        currency="CNY",
        legs=legs,
    )
    assert posted is not None
    return posted


def earned(member_id: str, amount_minor: int) -> tuple[Leg, Leg]:
    return Leg("merchant_commission", None, -amount_minor), Leg("member_held", member_id, amount_minor)


async def sum_of_entries(session: AsyncSession, merchant_id: str, kind: str) -> int:
    total = (
        select(func.coalesce(func.sum(LedgerEntry.amount_minor), 0))
        .join(LedgerAccount, LedgerAccount.id == LedgerEntry.account_id)
        .where(LedgerEntry.merchant_id == merchant_id, LedgerAccount.kind == kind)
    )
    return int(await session.scalar(total) or 0)
