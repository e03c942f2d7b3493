"""Commissions that somebody looked at and refused: fraud, an order that is none, a mistake of the merchant's."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import audit
from app.campaigns import budget
from app.commissions import rules
from app.commissions.books import announce, legs
from app.commissions.claw_back import release, released_by, take
from app.commissions.rules import Row
from app.db.rows import get_row
from app.kit.errors import Conflict, Forbidden
from app.ledger import service as ledger
from app.ledger.rules import Leg, cleared
from app.models import Commission, MerchantUser

MAY_REJECT = frozenset({"owner", "operator"})


async def reject(
    session: AsyncSession, *, merchant_id: str, commission_id: str, reason: str, actor: str, now: datetime
) -> Commission:
    """All that refunds have left of it goes back to the order, and is the merchant's. Again: the same commission.

    Where a refund of it was taken from a payout already, it nets to zero by being `payable` beside what takes it back.
    NotFound `commission_not_found`; Conflict `commission_reversed` where nothing is left of it,
    `commission_is_correction`, `commission_in_payout` or `commission_paid` where it is too late; Forbidden for a
    user of another role.
    """
    await _require_role(session, merchant_id, actor)
    found = await get_row(session, Commission, merchant_id=merchant_id, row_id=commission_id, noun="commission")
    # As a refund does it, whom this may meet: the campaign, then the members' accounts, then the rows as they stand.
    await budget.hold(session, merchant_id=merchant_id, campaign_id=found.campaign_id)
    await ledger.lock(session, merchant_id=merchant_id, currency=found.currency, member_ids=[found.member_id])
    family = await _family(session, found)
    if found.reason is not None and found.reverses_id is None:
        return found
    rules.require_rejectable(found.status, is_correction=found.reverses_id is not None)
    taking = rules.rejection([Row(row.amount_minor, row.status) for row in family])
    if taking is None:
        raise Conflict("commission_reversed", "Refunds have taken all of it back.")
    negative = take(family, taking, now=now, exit_="rejected")
    found.reason = negative.reason = reason
    session.add(negative)
    _audit(session, found, reason=reason, actor=actor, now=now, amount_minor=taking.amount_minor)
    await session.flush()
    await budget.give_back(
        session, merchant_id=merchant_id, campaign_id=found.campaign_id, amount_minor=-taking.amount_minor
    )
    await _post(session, found, taking.moves, now)
    await release(session, released_by(family, taking), now=now)
    await announce(session, "commission.rejected", [found], now=now)
    return found


async def _require_role(session: AsyncSession, merchant_id: str, actor: str) -> None:
    """A server that acts on its own is named by its key."""
    if not actor.startswith("usr_"):
        return
    user = await get_row(session, MerchantUser, merchant_id=merchant_id, row_id=actor, noun="merchant_user")
    if user.role not in MAY_REJECT:
        detail = f"The role {user.role} may not reject commissions; it takes one of: {', '.join(sorted(MAY_REJECT))}."
        raise Forbidden("role_not_allowed", detail)


async def _family(session: AsyncSession, first: Commission) -> list[Commission]:
    rows = select(Commission).where(
        Commission.merchant_id == first.merchant_id,
        Commission.order_id == first.order_id,
        (Commission.id == first.id) | (Commission.reverses_id == first.id),
    )
    fresh = rows.order_by(Commission.id).execution_options(populate_existing=True)
    return [*await session.scalars(fresh)]


async def _post(session: AsyncSession, first: Commission, moves: dict[str, int], now: datetime) -> None:
    taken = legs((first.member_id, bucket, amount) for bucket, amount in moves.items())
    back = -sum(leg.amount_minor for leg in taken)
    postings = [
        cleared(first.order_id, "commission_rejected", first.id, taken),
        cleared(first.order_id, "proceeds_regained", first.id, [Leg("merchant_proceeds", None, back)]),
    ]
    own = {"merchant_id": first.merchant_id, "currency": first.currency}
    posted = await ledger.post_all(session, **own, occurred_at=now, postings=postings)
    if len(posted) != len(postings):
        raise RuntimeError(f"the rejection of {first.id} was posted before, though its status says otherwise")


def _audit(
    session: AsyncSession, first: Commission, *, reason: str, actor: str, now: datetime, amount_minor: int
) -> None:
    own = {"merchant_id": first.merchant_id, "actor": actor, "subject_id": first.id}
    detail = {"amount_minor": amount_minor, "order_id": first.order_id, "member_id": first.member_id}
    audit.record(session, **own, action="commission.rejected", reason=reason, detail=detail, at=now)
