from __future__ import annotations

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit import clock, ids
from app.ledger import queries, service
from app.ledger.service import Leg
from app.models import Commission, LedgerAccount, LedgerEntry
from app.resources import Resources


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


async def pay_out(resources: Resources, merchant_id: str, member_id: str) -> int:
    """Everything payable to the member leaves the house, as a payout would book it; the amount, or 0 for a debt."""
    async with resources.db.tenant(merchant_id) as session:
        await service.lock(session, merchant_id=merchant_id, currency="CNY", member_ids=[member_id])
        if (await queries.balance(session, merchant_id=merchant_id, member_id=member_id)).payable_minor <= 0:
            return 0
        mine = update(Commission).where(
            Commission.merchant_id == merchant_id, Commission.member_id == member_id, Commission.status == "payable"
        )
        amounts = await session.scalars(mine.values(status="paid").returning(Commission.amount_minor))
        total = sum(amounts)
        await move(
            session, merchant_id, Leg("member_payable", member_id, -total), Leg("member_in_payout", member_id, total)
        )
        await move(
            session, merchant_id, Leg("member_in_payout", member_id, -total), Leg("member_paid", member_id, total)
        )
    return total
