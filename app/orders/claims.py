"""Whose turn it is to ask a provider: rows that are due, claimed for a while. Over all tenants, as *system*."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import ColumnElement

from app.models import Checkout, Merchant, Refund


@dataclass(frozen=True, slots=True)
class Claim:
    """One turn of one row. `number` guards its outcome: one that ran out must not overwrite a later one."""

    merchant_id: str
    row_id: str
    number: int


async def claim(
    session: AsyncSession,
    model: type[Checkout] | type[Refund],
    *conditions: ColumnElement[bool],
    limit: int,
    seconds: int,
) -> list[Claim]:
    """Take due rows for `seconds` of the real clock; due is what the tenant's own clock says."""
    tenant_now = func.now() + func.make_interval(0, 0, 0, 0, 0, 0, Merchant.clock_offset_seconds)
    due = (
        select(model.merchant_id, model.id)
        .join(Merchant, Merchant.id == model.merchant_id)
        .where(model.due_at <= tenant_now, *conditions)
        .where(model.leased_until.is_(None) | (model.leased_until <= func.now()))
        .order_by(model.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True, of=model)
        .cte("due")
    )
    take = (
        update(model)
        .where(model.merchant_id == due.c.merchant_id, model.id == due.c.id)
        .values(attempts=model.attempts + 1, leased_until=func.now() + timedelta(seconds=seconds))
        .returning(model.merchant_id, model.id, model.attempts)
        .execution_options(synchronize_session=False)
    )
    return [Claim(*row) for row in (await session.execute(take)).all()]
