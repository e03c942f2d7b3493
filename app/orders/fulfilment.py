"""The buyer has what was bought: holds that run from there begin."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.commissions import service as commissions
from app.db.rows import get_row
from app.models import Order
from app.orders import queries, rules
from app.orders.queries import OrderDetail


async def fulfil(
    session: AsyncSession, *, merchant_id: str, order_id: str, fulfilled_at: datetime | None, now: datetime
) -> OrderDetail:
    """The order, fulfilled at that instant, or now; the same again changes nothing.

    NotFound `order_not_found`; Conflict `order_already_fulfilled` at another time, `order_refunded`; Unprocessable for
    a time in the future, or before the order was paid.
    """
    order = await get_row(session, Order, merchant_id=merchant_id, row_id=order_id, noun="order")
    # As a refund does it: one of the two comes first, and the other sees what it left.
    await session.refresh(order, with_for_update={"key_share": True})
    if rules.to_fulfil(order.status, order.paid_at, order.fulfilled_at, wanted=fulfilled_at, now=now):
        order.fulfilled_at = fulfilled_at or now
        await session.flush()
        await commissions.begin_hold(session, order=order, fulfilled_at=order.fulfilled_at, now=now)
    return await queries.detail(session, merchant_id=merchant_id, order=order)
