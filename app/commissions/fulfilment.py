"""Holds that run from fulfilment: what was pending begins its hold."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.campaigns.document import CommissionRule
from app.commissions import rules
from app.commissions.books import announce, legs, locked_rows, record
from app.models import Commission, Order


async def begin_hold(
    session: AsyncSession, *, order: Order, fulfilled_at: datetime, now: datetime
) -> Sequence[Commission]:
    """What was pending and is now held, or payable where its hold is over already. The caller holds the order's row."""
    rows = [row for row in await locked_rows(session, order) if row.status == "pending"]
    if not rows:
        return rows
    rule = CommissionRule.model_validate(order.rule)
    status, hold_until = rules.standing_at(rule, paid_at=order.paid_at, fulfilled_at=fulfilled_at, now=now)
    for row in rows:
        row.status, row.hold_until = status, hold_until
    await session.flush()
    moves = [(row.member_id, "pending", -row.amount_minor) for row in rows]
    moves += [(row.member_id, status, row.amount_minor) for row in rows]
    await record(session, "fulfilled", order.id, rows, legs(moves), now=now)
    await announce(session, f"commission.{status}", rows, now=now)
    return rows
