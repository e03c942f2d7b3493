"""Refunds: by the order's id, or by external ids, then also before the order."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.campaigns import budget, stock
from app.campaigns.rules import require_open
from app.commissions import service as commissions
from app.db import outbox
from app.db.rows import get_row
from app.kit import ids
from app.kit.errors import Unprocessable
from app.ledger import funds
from app.models import Order, Refund
from app.orders import clearing, queries, rules
from app.orders.locks import hold_external_order
from app.orders.rewarding import order_refunded
from app.orders.rules import NewLine, NewRefund
from app.orders.spreading import Standing, spread
from app.orders.views import order_view


async def refund_order(
    session: AsyncSession, *, merchant_id: str, order_id: str, refund: NewRefund, now: datetime
) -> tuple[Refund, bool]:
    """The refund, and whether it is new. NotFound `order_not_found`, Unprocessable `refund_exceeds_paid` and the like,
    Conflict `external_refund_id_reused`."""
    order = await get_row(session, Order, merchant_id=merchant_id, row_id=order_id, noun="order")
    return await refund_by_external_ids(
        session, merchant_id=merchant_id, external_order_id=order.external_order_id, refund=refund, now=now
    )


async def refund_by_external_ids(
    session: AsyncSession, *, merchant_id: str, external_order_id: str, refund: NewRefund, now: datetime
) -> tuple[Refund, bool]:
    """As `refund_order`; where the order is not known yet the refund is parked and applied when it comes."""
    rules.check_refund(refund, now=now)
    order = await queries.by_external_id(
        session, merchant_id=merchant_id, external_order_id=external_order_id, lock=True
    )
    if order is None:
        await hold_external_order(session, merchant_id=merchant_id, external_order_id=external_order_id)
        order = await queries.by_external_id(
            session, merchant_id=merchant_id, external_order_id=external_order_id, lock=True
        )
    row, is_new = await _claim(session, merchant_id, external_order_id, refund, now)
    if is_new and order is not None:
        campaign = await budget.hold(
            session, merchant_id=merchant_id, campaign_id=order.campaign_id, stock=bool(order.pieces)
        )
        require_open(campaign, "refund", now=now)
        await _apply(session, order, row, refund, now)
    return row, is_new


async def apply_parked(session: AsyncSession, *, order: Order, now: datetime) -> int:
    """What came before the order, in the order it came; what does not fit is refused, and keeps the reason.

    How many there were.
    """
    parked = (
        select(Refund)
        .where(
            Refund.merchant_id == order.merchant_id,
            Refund.external_order_id == order.external_order_id,
            Refund.status == "parked",
        )
        .order_by(Refund.id)
        .with_for_update()
    )
    waiting = (await session.scalars(parked)).all()
    for row in waiting:
        lines = tuple(NewLine(line["external_line_id"], line["amount_minor"]) for line in row.lines)
        refund = NewRefund(row.external_refund_id, row.amount_minor, row.currency, row.refunded_at, lines)
        try:
            await _apply(session, order, row, refund, now)
        except Unprocessable as misfit:
            row.status, row.refusal, row.order_id = "refused", misfit.code, order.id
            await session.flush()
    return len(waiting)


async def _claim(
    session: AsyncSession, merchant_id: str, external_order_id: str, refund: NewRefund, now: datetime
) -> tuple[Refund, bool]:
    """The row of this external id: parked and new, or the first one where the content is the same."""
    fingerprint = refund.fingerprint(external_order_id)
    values = {
        "merchant_id": merchant_id,
        "id": ids.new("rfd"),
        "external_order_id": external_order_id,
        "external_refund_id": refund.external_refund_id,
        "content_hash": fingerprint,
        "amount_minor": refund.amount_minor,
        "currency": refund.currency,
        "lines": [_line(line.external_line_id, line.amount_minor) for line in refund.lines],
        "status": "parked",
        "refunded_at": refund.refunded_at or now,
        "created_at": now,
    }
    once = insert(Refund).values(values).on_conflict_do_nothing().returning(Refund)
    row = await session.scalar(once)
    if row is not None:
        return row, True
    known = await queries.refund_by_external_id(
        session, merchant_id=merchant_id, external_refund_id=refund.external_refund_id
    )
    if known is None:
        raise RuntimeError(f"refund {refund.external_refund_id!r} is in the way, but cannot be seen")
    rules.require_same(known.content_hash, fingerprint, noun="refund")
    rules.require_same_currency(known.currency, refund.currency)
    return known, False


async def _apply(session: AsyncSession, order: Order, row: Refund, refund: NewRefund, now: datetime) -> None:
    """The caller holds the order's row; nothing is written where it does not fit."""
    rules.check_refunded_at(row.refunded_at, paid_at=order.paid_at)
    lines = await queries.lines_of(session, merchant_id=order.merchant_id, order_id=order.id)
    stands = [Standing(one.external_line_id, one.amount_minor, one.refunded_minor, one.named_minor) for one in lines]
    taken = spread(refund, stands, currency=order.currency)
    touched = [line for line in lines if line.external_line_id in taken]
    for line in touched:
        line.refunded_minor += taken[line.external_line_id].amount_minor
        line.named_minor += taken[line.external_line_id].named_minor
    order.refunded_minor += row.amount_minor
    order.status = rules.status_after(order.amount_minor, order.refunded_minor)
    row.status, row.order_id, row.currency = "applied", order.id, order.currency
    row.lines = [_line(name, of_line.amount_minor) for name, of_line in taken.items() if of_line.amount_minor]
    fee_back = clearing.take_fee_back(order)
    await session.flush()
    if order.status == "refunded":
        own = {"merchant_id": order.merchant_id, "campaign_id": order.campaign_id}
        await stock.give_back(session, **own, pieces=order.pieces)
    taken_back = await commissions.reverse(session, order=order, refund=row, lines=touched, now=now)
    await clearing.refunded(session, order=order, refund=row, taken_back=taken_back, fee_back=fee_back, now=now)
    found = await queries.detail(session, merchant_id=order.merchant_id, order=order)
    await order_refunded(session, order=order, now=now)
    await _return_funds(session, order, row, now)
    await outbox.emit(session, order.merchant_id, "order.refunded", order_view(found), at=now)


async def _return_funds(session: AsyncSession, order: Order, row: Refund, now: datetime) -> None:
    """Of an order that was paid on our own page: out of the merchant's funds, which it has filled, and then to its
    buyer by the provider, whom the worker asks."""
    if order.external_order_id != order.id:
        return
    row.payback, row.due_at = "due", now
    await funds.returned(
        session,
        merchant_id=order.merchant_id,
        reference=row.id,
        amount_minor=row.amount_minor,
        currency=order.currency,
        occurred_at=row.refunded_at,
    )


def _line(external_line_id: str, amount_minor: int) -> dict[str, object]:
    return {"external_line_id": external_line_id, "amount_minor": amount_minor}
