from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.pages import Page, PageQuery, fetch_page
from app.models import Checkout, Merchant, PaymentNotice, SandboxPayment


async def find_page(
    session: AsyncSession, *, merchant_id: str, query: PageQuery, equals: Mapping[str, str | None]
) -> Page[Checkout]:
    """Newest first; `equals` are filters by column name, None for no filter."""
    statement = select(Checkout).where(Checkout.merchant_id == merchant_id)
    for column, value in equals.items():
        if value is not None:
            statement = statement.where(getattr(Checkout, column) == value)
    return await fetch_page(session, statement, query)


async def notices_page(session: AsyncSession, *, merchant_id: str, query: PageQuery) -> Page[PaymentNotice]:
    return await fetch_page(session, select(PaymentNotice).where(PaymentNotice.merchant_id == merchant_id), query)


async def late_payments(session: AsyncSession, *, limit: int) -> Sequence[SandboxPayment]:
    """Of the cashier's, as *system*: those whose notification is due by the tenant's clock, each taken once."""
    tenant_now = func.now() + func.make_interval(0, 0, 0, 0, 0, 0, Merchant.clock_offset_seconds)
    due = (
        select(SandboxPayment)
        .join(Merchant, Merchant.id == SandboxPayment.merchant_id)
        .where(SandboxPayment.notify_at <= tenant_now)
        .order_by(SandboxPayment.notify_at)
        .limit(limit)
        .with_for_update(skip_locked=True, of=SandboxPayment)
    )
    return (await session.scalars(due)).all()
