"""The end of the hold: what was held becomes payable."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Select, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.commissions.books import announce, record
from app.ledger import service as ledger
from app.ledger.rules import Leg, member_account
from app.models import Commission

BATCH = 500


async def release_due(session: AsyncSession, *, merchant_id: str, now: datetime, limit: int = BATCH) -> int:
    """Make payable what was held long enough by this merchant's clock, `limit` rows at most; how many there were.

    Members that are being paid or refunded in this moment are left for the next run.
    """
    oldest = _due(merchant_id, now).order_by(Commission.hold_until, Commission.id).limit(limit)
    picked = (await session.execute(oldest)).all()
    handled = 0
    for currency in sorted({row.currency for row in picked}):
        members = {row.member_id for row in picked if row.currency == currency}
        free = await ledger.try_lock(session, merchant_id=merchant_id, currency=currency, member_ids=members)
        mine = [row.id for row in picked if row.currency == currency and row.member_id in free]
        await _release(session, merchant_id, mine, now)
        handled += len(mine)
    return handled


async def release_all_due(session: AsyncSession, *, merchant_id: str, now: datetime) -> int:
    """All of it in this transaction, waiting for members that somebody is busy with."""
    owners = (await session.execute(_due(merchant_id, now))).all()
    for currency in sorted({row.currency for row in owners}):
        # All members before the first batch: batches alone would lock them in no order.
        members = {row.member_id for row in owners if row.currency == currency}
        await ledger.lock(session, merchant_id=merchant_id, currency=currency, member_ids=members)
    released = 0
    while count := await release_due(session, merchant_id=merchant_id, now=now):
        released += count
    return released


def _due(merchant_id: str, now: datetime) -> Select[tuple[str, str, str]]:
    return select(Commission.id, Commission.member_id, Commission.currency).where(
        Commission.merchant_id == merchant_id, Commission.status == "held", Commission.hold_until <= now
    )


async def _release(session: AsyncSession, merchant_id: str, commission_ids: Sequence[str], now: datetime) -> None:
    """What is still held, now that its members' accounts are locked."""
    statement = (
        update(Commission)
        .where(Commission.merchant_id == merchant_id, Commission.id.in_(commission_ids), Commission.status == "held")
        .values(status="payable")
        .returning(Commission)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    rows = sorted(await session.scalars(statement), key=lambda row: row.id) if commission_ids else []
    if rows:
        legs = [Leg(member_account("held"), row.member_id, -row.amount_minor) for row in rows]
        legs += [Leg(member_account("payable"), row.member_id, row.amount_minor) for row in rows]
        # A commission is released once, so the first one's id names the whole movement.
        await record(session, "released", rows[0].id, rows, legs, now=now)
        await announce(session, "commission.payable", rows, now=now)
