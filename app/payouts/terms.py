"""What a merchant asks of withdrawals: the least of them, their fee, and who bears it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import PayoutSettings
from app.payouts import acting, rules
from app.payouts.rules import Terms


async def get(session: AsyncSession, *, merchant_id: str) -> Terms:
    """The defaults where the merchant has set nothing."""
    row = await session.get(PayoutSettings, merchant_id, populate_existing=True)
    if row is None:
        return Terms()
    return Terms(row.minimum_minor, row.fee_minor, row.fee_bps, rules.bearer(row.fee_bearer))


async def change(session: AsyncSession, *, merchant_id: str, actor_id: str, terms: Terms, now: datetime) -> Terms:
    """For withdrawals from now on: what was asked for keeps the fee that was agreed then."""
    await acting.require(session, merchant_id=merchant_id, actor_id=actor_id, step="set terms")
    rules.require_terms(terms)
    values = {**asdict(terms), "changed_at": now}
    row = insert(PayoutSettings).values(merchant_id=merchant_id, created_at=now, **values)
    await session.execute(row.on_conflict_do_update(index_elements=["merchant_id"], set_=values))
    acting.record(
        session,
        merchant_id=merchant_id,
        actor_id=actor_id,
        action="payout_settings.changed",
        subject_id=merchant_id,
        **asdict(terms),
    )
    await session.flush()
    return await get(session, merchant_id=merchant_id)


def view(terms: Terms) -> dict[str, Any]:
    return {"object": "payout_settings", **asdict(terms), "metadata": {}}
