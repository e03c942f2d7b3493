"""What every change of commissions does beside their rows: a movement in the ledger, and events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.commissions.views import commission_view
from app.db import outbox
from app.ledger import service as ledger
from app.ledger.rules import Leg, member_account
from app.models import Commission


def against_merchant(moves: Iterable[tuple[str, str, int]]) -> list[Leg]:
    """Legs of (member, bucket, amount), with the merchant's commission account on the other side."""
    legs = [Leg(member_account(bucket), member_id, amount) for member_id, bucket, amount in moves]
    return [*legs, Leg("merchant_commission", None, -sum(leg.amount_minor for leg in legs))]


async def record(
    session: AsyncSession, what: str, reference: str, rows: Sequence[Commission], legs: Sequence[Leg], *, now: datetime
) -> None:
    """`rows` share a merchant and a currency."""
    posted = await ledger.post(
        session,
        merchant_id=rows[0].merchant_id,
        kind=f"commission_{what}",
        reference=reference,
        occurred_at=now,
        currency=rows[0].currency,
        legs=legs,
    )
    if posted is None:
        raise RuntimeError(f"commission_{what} of {reference} was posted before, though its rows say otherwise")


async def announce(session: AsyncSession, type_: str, rows: Sequence[Commission], *, now: datetime) -> None:
    data = [commission_view(row) for row in rows]
    await outbox.emit_many(session, rows[0].merchant_id, type_, data, at=now)
