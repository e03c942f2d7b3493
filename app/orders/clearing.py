"""An order's money in the books: in from the customer, out to promoters, platform and merchant, and all of it back.

Each leg is a transaction of its own through the order's account, which is at zero when none is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.kit.money import cumulative_part
from app.ledger import service as ledger
from app.ledger.rules import Leg, Posting, cleared
from app.models import Order, Refund


async def sold(session: AsyncSession, *, order: Order, earned: Sequence[Leg], now: datetime) -> None:
    """`earned`: what stands to promoters."""
    fee = order.platform_fee_minor
    rest = order.amount_minor - fee - _total(earned)
    postings = [
        cleared(order.id, "order_paid", order.id, [Leg("merchant_sales", None, -order.amount_minor)]),
        cleared(order.id, "commission_earned", order.id, earned),
        cleared(order.id, "platform_fee_charged", order.id, [Leg("platform_fee", None, fee)]),
        cleared(order.id, "order_proceeds", order.id, [Leg("merchant_proceeds", None, rest)]),
    ]
    await _post(session, order, postings, now)


async def refunded(
    session: AsyncSession, *, order: Order, refund: Refund, taken_back: Sequence[Leg], fee_back: int, now: datetime
) -> None:
    """`taken_back`: of promoters; `fee_back`: of the platform."""
    rest = refund.amount_minor - fee_back + _total(taken_back)
    postings = [
        cleared(order.id, "commission_reversed", refund.id, taken_back),
        cleared(order.id, "platform_fee_refunded", refund.id, [Leg("platform_fee", None, -fee_back)]),
        cleared(order.id, "proceeds_reversed", refund.id, [Leg("merchant_proceeds", None, -rest)]),
        cleared(order.id, "order_refunded", refund.id, [Leg("merchant_sales", None, refund.amount_minor)]),
    ]
    await _post(session, order, postings, now)


def take_fee_back(order: Order) -> int:
    """The platform's part of a refund that the order has counted in, counted in as well.

    Rounding is cumulative: a full refund in any number of parts gives back exactly the fee.
    """
    due = cumulative_part(order.platform_fee_minor, order.refunded_minor, order.amount_minor)
    back = due - order.platform_fee_refunded_minor
    order.platform_fee_refunded_minor = due
    return back


def _total(legs: Sequence[Leg]) -> int:
    return sum(leg.amount_minor for leg in legs)


async def _post(session: AsyncSession, order: Order, postings: Sequence[Posting], now: datetime) -> None:
    """All at once, so that nobody ever sees the order's account with a leg missing."""
    wanted = [posting for posting in postings if any(leg.amount_minor for leg in posting.legs)]
    posted = await ledger.post_all(
        session, merchant_id=order.merchant_id, occurred_at=now, currency=order.currency, postings=wanted
    )
    if again := {(one.kind, one.reference) for one in wanted} - posted.keys():
        raise RuntimeError(f"{sorted(again)} was posted before, though the order's rows say otherwise")
