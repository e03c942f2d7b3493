from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, ColumnElement, func, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.commissions.matching import Performance
from app.db.pages import Page, PageQuery, fetch_page
from app.db.rows import get_row, one_of
from app.models import Commission, CommissionHold, Merchant, Order


async def performance(
    session: AsyncSession, *, merchant_id: str, participant_ids: Iterable[str]
) -> dict[str, Performance]:
    """What was bought by friends whom each of these had invited when they paid; nothing for those not in it."""
    statement = (
        select(
            Order.inviter_id,
            func.count().filter(Order.status != "refunded"),
            func.sum(Order.amount_minor - Order.refunded_minor),
        )
        .where(Order.merchant_id == merchant_id, one_of(Order.inviter_id, participant_ids))
        .group_by(Order.inviter_id)
    )
    rows = await session.execute(statement)
    return {inviter_id: Performance(orders, int(amount)) for inviter_id, orders, amount in rows if inviter_id}


async def earned(session: AsyncSession, *, merchant_id: str, participant_ids: Iterable[str]) -> dict[str, int]:
    """By participant, refunds taken off; nothing for those who never earned."""
    statement = (
        select(Commission.beneficiary_id, func.sum(Commission.amount_minor))
        .where(Commission.merchant_id == merchant_id, one_of(Commission.beneficiary_id, participant_ids))
        .where(Commission.status != "rejected")
        .group_by(Commission.beneficiary_id)
    )
    return {participant_id: int(amount) for participant_id, amount in await session.execute(statement)}


async def of_orders(
    session: AsyncSession, *, merchant_id: str, order_ids: Sequence[str]
) -> dict[str, list[Commission]]:
    """All rows by order, earned and reversed, oldest first."""
    statement = select(Commission).where(Commission.merchant_id == merchant_id, Commission.order_id.in_(order_ids))
    found: dict[str, list[Commission]] = {order_id: [] for order_id in order_ids}
    for row in await session.scalars(statement.order_by(Commission.id)) if order_ids else []:
        found[row.order_id].append(row)
    return found


async def get(session: AsyncSession, *, merchant_id: str, commission_id: str) -> Commission:
    return await get_row(session, Commission, merchant_id=merchant_id, row_id=commission_id, noun="commission")


async def find_page(
    session: AsyncSession,
    *,
    merchant_id: str,
    query: PageQuery,
    equals: Mapping[str, str | None],
    external_order_id: str | None = None,
) -> Page[Commission]:
    """Newest first; `equals` are filters by column name, None for no filter."""
    statement = select(Commission).where(Commission.merchant_id == merchant_id)
    for column, value in equals.items():
        if value is not None:
            statement = statement.where(getattr(Commission, column) == value)
    if external_order_id is not None:
        named = select(Order.id).where(Order.merchant_id == merchant_id, Order.external_order_id == external_order_id)
        statement = statement.where(Commission.order_id.in_(named))
    return await fetch_page(session, statement, query)


async def due_merchants(session: AsyncSession, *, now: datetime, limit: int) -> list[tuple[str, datetime]]:
    """Whose holds have ended, with their own clock's time; asked as *system*, `now` is the real one."""
    own_now = _own_now(now)
    due = select(CommissionHold.commission_id).where(
        CommissionHold.merchant_id == Merchant.id, CommissionHold.hold_until <= own_now
    )
    statement = select(Merchant.id, own_now).where(due.exists()).order_by(Merchant.id).limit(limit)
    return [(merchant_id, instant) for merchant_id, instant in await session.execute(statement)]


@dataclass(frozen=True, slots=True)
class Due:
    """What a settlement has before it of one merchant, whose clock says `now`, in one currency."""

    merchant_id: str
    livemode: bool
    now: datetime
    currency: str
    commissions: int
    members: int
    amount_minor: int


async def due(session: AsyncSession, *, merchant_id: str | None, now: datetime) -> list[Due]:
    """Of a merchant or of all, asked as *system*; `now` is the real one."""
    own_now = _own_now(now)
    statement = (
        select(
            Merchant.id,
            Merchant.livemode,
            own_now,
            CommissionHold.currency,
            func.count(),
            func.count(CommissionHold.member_id.distinct()),
            func.sum(Commission.amount_minor).cast(BigInteger),
        )
        .join(CommissionHold, (CommissionHold.merchant_id == Merchant.id) & (CommissionHold.hold_until <= own_now))
        .join(
            Commission,
            (Commission.merchant_id == CommissionHold.merchant_id) & (Commission.id == CommissionHold.commission_id),
        )
        .where(Commission.status == "held")
        .group_by(Merchant.id, CommissionHold.currency)
        .order_by(Merchant.id, CommissionHold.currency)
    )
    if merchant_id is not None:
        statement = statement.where(Merchant.id == merchant_id)
    return [Due(*counted) for counted in await session.execute(statement)]


def _own_now(now: datetime) -> ColumnElement[datetime]:
    return literal(now) + Merchant.clock_offset_seconds * literal(timedelta(seconds=1))
