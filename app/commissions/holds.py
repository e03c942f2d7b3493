"""The end of the hold: what was held becomes payable."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.commissions.books import announce, record
from app.ledger import service as ledger
from app.ledger.rules import Leg, member_account
from app.models import Commission

BATCH = 500


async def release_due(
    session: AsyncSession, *, merchant_id: str, now: datetime, wait: bool = False, limit: int = BATCH
) -> int:
    """Make payable what was held long enough by this merchant's clock, `limit` rows at most; how many were due.

    Members that are being paid or refunded in this moment are left for the next run, unless told to `wait`.
    """
    due = (
        select(Commission.id, Commission.member_id, Commission.currency)
        .where(Commission.merchant_id == merchant_id, Commission.status == "held", Commission.hold_until <= now)
        .order_by(Commission.hold_until, Commission.id)
        .limit(limit)
    )
    picked = (await session.execute(due)).all()
    handled = 0
    for currency in sorted({row.currency for row in picked}):
        members = {row.member_id for row in picked if row.currency == currency}
        locked = await _lock(session, merchant_id, currency, members, wait=wait)
        mine = [row.id for row in picked if row.currency == currency and row.member_id in locked]
        await _release(session, merchant_id, mine, now)
        handled += len(mine)
    return handled


async def _lock(
    session: AsyncSession, merchant_id: str, currency: str, members: set[str], *, wait: bool
) -> frozenset[str]:
    if not wait:
        return await ledger.try_lock(session, merchant_id=merchant_id, currency=currency, member_ids=members)
    await ledger.lock(session, merchant_id=merchant_id, currency=currency, member_ids=members)
    return frozenset(members)


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
