"""What a refund or a rejection takes back: negative rows, before and after payout alike."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Literal

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.campaigns import budget
from app.commissions import rules
from app.commissions.books import announce, legs, locked_rows
from app.commissions.rules import Reversal, Row
from app.db.rows import one_of
from app.kit import ids
from app.ledger.rules import Leg
from app.models import Commission, CommissionHold, Order, OrderLine, Refund

Exit = Literal["reversed", "rejected"]


async def reverse(
    session: AsyncSession,
    *,
    order: Order,
    refund: Refund,
    lines: Sequence[OrderLine],
    now: datetime,
) -> list[Leg]:
    """Write the negative rows of one refund; what they take back, for the caller to post. `lines` are those it touches,
    their `refunded_minor` with it counted in.

    The caller holds the order's row, so that refunds of one order come one after the other, and its campaign.
    """
    rows = await locked_rows(session, order, [line.id for line in lines])
    taken: list[Commission] = []
    released: list[Commission] = []
    moves: list[tuple[str, str, int]] = []
    for line in lines:
        of_line = [row for row in rows if row.line_id == line.id]
        for level in sorted({row.level for row in of_line}):
            family = [row for row in of_line if row.level == level]
            found = rules.reversal(
                [Row(row.amount_minor, row.status) for row in family],
                line_minor=line.amount_minor,
                refunded_minor=line.refunded_minor,
            )
            if found is None:
                continue
            member_id = family[0].member_id
            moves += [(member_id, bucket, amount) for bucket, amount in found.moves.items()]
            taken.append(take(family, found, refund_id=refund.id, now=now))
            released += released_by(family, found)
    if taken:
        session.add_all(taken)
        await session.flush()
        back = -sum(row.amount_minor for row in taken)
        await budget.give_back(session, merchant_id=order.merchant_id, campaign_id=order.campaign_id, amount_minor=back)
        await announce(session, "commission.reversed", taken, now=now)
    await release(session, released, now=now)
    return legs(moves)


def take(
    family: Sequence[Commission],
    found: Reversal,
    *,
    now: datetime,
    refund_id: str | None = None,
    exit_: Exit = "reversed",
) -> Commission:
    """The negative row, which the caller keeps; the rows of `family`, a commission with all of its negative ones, go
    where it sends them. `exit_`: how what nets to zero ends."""
    first = original(family)
    if found.closes:
        for row in family:
            row.status = exit_
    if found.releases:
        first.status = "payable"
    return Commission(
        merchant_id=first.merchant_id,
        id=ids.new("com"),
        campaign_id=first.campaign_id,
        order_id=first.order_id,
        line_id=first.line_id,
        level=first.level,
        beneficiary_id=first.beneficiary_id,
        member_id=first.member_id,
        amount_minor=found.amount_minor,
        currency=first.currency,
        base_minor=first.base_minor,
        rate_bps=first.rate_bps,
        rule_version=first.rule_version,
        status=exit_ if found.closes else "payable",
        reverses_id=first.id,
        refund_id=refund_id,
        created_at=now,
    )


def released_by(family: Sequence[Commission], found: Reversal) -> list[Commission]:
    return [original(family)] if found.releases else []


async def release(session: AsyncSession, rows: Sequence[Commission], *, now: datetime) -> None:
    """They are payable before their hold has ended, which is over with it; they are written already."""
    if not rows:
        return
    mine = CommissionHold.commission_id.in_([row.id for row in rows])
    await session.execute(delete(CommissionHold).where(CommissionHold.merchant_id == rows[0].merchant_id, mine))
    await announce(session, "commission.payable", rows, now=now)


def original(family: Sequence[Commission]) -> Commission:
    return next(row for row in family if row.reverses_id is None)


async def close_netted(
    session: AsyncSession, *, merchant_id: str, member_ids: Collection[str], order_ids: Collection[str]
) -> None:
    """Close what was refunded while it was in a payout that has failed since: it is payable again and comes to nothing.

    `order_ids`: of what has just become payable again. No money moves: all of it is in one bucket. The caller holds
    the members' accounts, and nobody else's.
    """
    first = func.coalesce(Commission.reverses_id, Commission.id)
    theirs = (
        Commission.merchant_id == merchant_id,
        one_of(Commission.order_id, order_ids),
        one_of(Commission.member_id, member_ids),
    )
    netted = (
        select(first)
        .where(*theirs, Commission.status != "reversed")
        .group_by(first)
        .having(func.sum(Commission.amount_minor) == 0, func.bool_and(Commission.status == "payable"))
    )
    closed = update(Commission).where(*theirs, first.in_(netted)).values(status="reversed")
    await session.execute(closed.execution_options(synchronize_session=False))
