"""What every change of commissions does beside their rows: a movement in the ledger, and events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.commissions.views import commission_view
from app.db import outbox
from app.ledger import service as ledger
from app.ledger.rules import Leg, member_account
from app.models import Commission, Order


def legs(moves: Iterable[tuple[str, str, int]]) -> list[Leg]:
    """Of (member, bucket, amount): what members get of an order's money, or lose to it."""
    return [Leg(member_account(bucket), member_id, amount) for member_id, bucket, amount in moves]


def standing(rows: Iterable[Commission]) -> list[Leg]:
    """What they get by new rows, each into the bucket of its status."""
    return legs((row.member_id, row.status, row.amount_minor) for row in rows)


async def record(
    session: AsyncSession, what: str, reference: str, rows: Sequence[Commission], moves: Sequence[Leg], *, now: datetime
) -> None:
    """Between members' own accounts; `rows` share a merchant and a currency."""
    posted = await ledger.post(
        session,
        merchant_id=rows[0].merchant_id,
        kind=f"commission_{what}",
        reference=reference,
        occurred_at=now,
        currency=rows[0].currency,
        legs=moves,
    )
    if posted is None:
        raise RuntimeError(f"commission_{what} of {reference} was posted before, though its rows say otherwise")


async def announce(session: AsyncSession, type_: str, rows: Sequence[Commission], *, now: datetime) -> None:
    data = [commission_view(row) for row in rows]
    await outbox.emit_many(session, rows[0].merchant_id, type_, data, at=now)


def news(rows: Iterable[Commission]) -> list[tuple[str, dict[str, Any]]]:
    """What is to be said of new ones: nothing before their hold has begun."""
    return [(f"commission.{row.status}", commission_view(row)) for row in rows if row.status != "pending"]


async def locked_rows(
    session: AsyncSession, order: Order, line_ids: Sequence[str] | None = None
) -> Sequence[Commission]:
    """Of an order, or of some of its lines, read under the lock of their members' accounts: a row's status decides
    which bucket moves, and a payout or a release that is at one of them ends first."""
    rows = select(Commission).where(Commission.merchant_id == order.merchant_id, Commission.order_id == order.id)
    if line_ids is not None:
        rows = rows.where(Commission.line_id.in_(line_ids))
    members = set(await session.scalars(rows.with_only_columns(Commission.member_id)))
    await ledger.lock(session, merchant_id=order.merchant_id, currency=order.currency, member_ids=members)
    fresh = rows.order_by(Commission.id).execution_options(populate_existing=True)
    return (await session.scalars(fresh)).all()
