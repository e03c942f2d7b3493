from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.commissions.queries import of_orders
from app.db.pages import Page, PageQuery, fetch_page
from app.db.rows import get_row
from app.models import Commission, Order, OrderLine, Refund


@dataclass(frozen=True, slots=True)
class OrderDetail:
    """An order with what hangs on it: its lines as they came, its commission rows, its refunds, oldest first."""

    order: Order
    lines: Sequence[OrderLine]
    commissions: Sequence[Commission]
    refunds: Sequence[Refund]


async def get(session: AsyncSession, *, merchant_id: str, order_id: str) -> OrderDetail:
    order = await get_row(session, Order, merchant_id=merchant_id, row_id=order_id, noun="order")
    return await detail(session, merchant_id=merchant_id, order=order)


async def detail(session: AsyncSession, *, merchant_id: str, order: Order) -> OrderDetail:
    (found,) = await _details(session, merchant_id, [order])
    return found


async def by_external_id(
    session: AsyncSession, *, merchant_id: str, external_order_id: str, lock: bool = False
) -> Order | None:
    """`lock`: nobody else's to refund until the transaction ends, and read as it stands now."""
    statement = select(Order).where(Order.merchant_id == merchant_id, Order.external_order_id == external_order_id)
    if lock:
        statement = statement.with_for_update(key_share=True).execution_options(populate_existing=True)
    return (await session.scalars(statement)).one_or_none()


async def lines_of(session: AsyncSession, *, merchant_id: str, order_id: str) -> Sequence[OrderLine]:
    statement = select(OrderLine).where(OrderLine.merchant_id == merchant_id, OrderLine.order_id == order_id)
    found = statement.order_by(OrderLine.id).execution_options(populate_existing=True)
    return (await session.scalars(found)).all()


async def refund_by_external_id(session: AsyncSession, *, merchant_id: str, external_refund_id: str) -> Refund | None:
    statement = select(Refund).where(Refund.merchant_id == merchant_id, Refund.external_refund_id == external_refund_id)
    return (await session.scalars(statement)).one_or_none()


async def get_refund(session: AsyncSession, *, merchant_id: str, refund_id: str) -> Refund:
    return await get_row(session, Refund, merchant_id=merchant_id, row_id=refund_id, noun="refund")


async def refunds_page(session: AsyncSession, *, merchant_id: str, query: PageQuery) -> Page[Refund]:
    """Newest first, those whose order is not known yet among them."""
    return await fetch_page(session, select(Refund).where(Refund.merchant_id == merchant_id), query)


async def has_unrefunded_order(session: AsyncSession, *, merchant_id: str, participant_id: str) -> bool:
    statement = select(Order.id).where(
        Order.merchant_id == merchant_id, Order.participant_id == participant_id, Order.status != "refunded"
    )
    return await session.scalar(statement.limit(1)) is not None


async def find_page(session: AsyncSession, *, merchant_id: str, query: PageQuery) -> Page[OrderDetail]:
    """Newest first."""
    page = await fetch_page(session, select(Order).where(Order.merchant_id == merchant_id), query)
    return Page(await _details(session, merchant_id, page.rows), page.next_cursor)


async def _details(session: AsyncSession, merchant_id: str, orders: Sequence[Order]) -> list[OrderDetail]:
    """Three reads, however many orders."""
    order_ids = [order.id for order in orders]
    lines = select(OrderLine).where(OrderLine.merchant_id == merchant_id, OrderLine.order_id.in_(order_ids))
    refunds = select(Refund).where(Refund.merchant_id == merchant_id, Refund.order_id.in_(order_ids))
    all_lines = (await session.scalars(lines.order_by(OrderLine.id))).all() if orders else []
    all_refunds = (await session.scalars(refunds.order_by(Refund.id))).all() if orders else []
    commissions = await of_orders(session, merchant_id=merchant_id, order_ids=order_ids)
    return [
        OrderDetail(
            order,
            [line for line in all_lines if line.order_id == order.id],
            commissions[order.id],
            [refund for refund in all_refunds if refund.order_id == order.id],
        )
        for order in orders
    ]
