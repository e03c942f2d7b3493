"""What payouts are made of: of a prepaid merchant, funds that are put aside when a batch is approved, for what goes out
and for the fee of it, whoever bears that.

Every step of a payout's end comes by here, whatever rail or file told it; what was never put aside is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.ledger import funds
from app.models import Merchant, Payout, PayoutBatch
from app.payouts import queries


async def available_minor(session: AsyncSession, *, merchant_id: str, currency: str) -> int | None:
    """What batches can be made of; None where nothing limits them."""
    if not await _is_prepaid(session, merchant_id):
        return None
    return (await funds.available(session, merchant_id=merchant_id, currency=currency)).available_minor


async def require(session: AsyncSession, batch: PayoutBatch) -> None:
    """Conflict `funds_insufficient`; nothing is put aside yet."""
    if await _is_prepaid(session, batch.merchant_id):
        own = {"merchant_id": batch.merchant_id, "currency": batch.currency}
        costs = await queries.costs(session, merchant_id=batch.merchant_id, batch_id=batch.id)
        await funds.require(session, **own, amount_minor=sum(costs.values()))


async def reserve(session: AsyncSession, batch: PayoutBatch, *, now: datetime) -> None:
    """For each payout of the batch; Conflict `funds_insufficient`. The last lock that an approval takes."""
    if not await _is_prepaid(session, batch.merchant_id):
        return
    costs = await queries.costs(session, merchant_id=batch.merchant_id, batch_id=batch.id)
    own = {"merchant_id": batch.merchant_id, "currency": batch.currency}
    await funds.reserve(session, **own, amounts=costs, occurred_at=now)


async def spend(session: AsyncSession, payouts: Iterable[Payout], *, now: datetime) -> None:
    for one in _by_currency(payouts):
        own = {"merchant_id": one[0].merchant_id, "currency": one[0].currency}
        await funds.spend(session, **own, references=[payout.id for payout in one], occurred_at=now)


async def release(session: AsyncSession, payouts: Iterable[Payout], *, now: datetime) -> None:
    """Failed or cancelled."""
    for one in _by_currency(payouts):
        own = {"merchant_id": one[0].merchant_id, "currency": one[0].currency}
        await funds.release(session, **own, references=[payout.id for payout in one], occurred_at=now)


def _by_currency(payouts: Iterable[Payout]) -> list[list[Payout]]:
    found: dict[str, list[Payout]] = {}
    for payout in payouts:
        found.setdefault(payout.currency, []).append(payout)
    return list(found.values())


async def _is_prepaid(session: AsyncSession, merchant_id: str) -> bool:
    return await session.scalar(select(Merchant.funding).where(Merchant.id == merchant_id)) == "prepaid"
