"""What an order tells the rewards that wait for one, and what its full refund takes back of them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.commissions.service import Buyer
from app.models import Order, Participant, Reward
from app.orders import queries
from app.rewards import service as rewards

ACTOR = "system"


async def order_paid(session: AsyncSession, *, buyer: Buyer, now: datetime) -> None:
    """Grant what waits for an order, and what had fallen with an earlier one. The order is written already: a refund
    that has the buyer first is seen here, one that comes later sees the order."""
    await _lock_buyer(session, buyer.merchant_id, buyer.id)
    await rewards.ripen(session, merchant_id=buyer.merchant_id, trigger="order_paid", invitees=[buyer], now=now)


async def order_refunded(session: AsyncSession, *, order: Order, now: datetime) -> None:
    """Revoke the rewards for buying, once nothing is left of anything this participant bought; until it buys again."""
    if order.status != "refunded":
        return
    await _lock_buyer(session, order.merchant_id, order.participant_id)
    if await queries.has_unrefunded_order(session, merchant_id=order.merchant_id, participant_id=order.participant_id):
        return
    for reward_id in await _lock_rewards(session, order):
        await rewards.revoke(
            session,
            merchant_id=order.merchant_id,
            reward_id=reward_id,
            reason=f"order {order.id} was refunded",
            actor=ACTOR,
            now=now,
            fallen=True,
        )


async def _lock_buyer(session: AsyncSession, merchant_id: str, participant_id: str) -> None:
    """Two orders of one buyer that are refunded at once must not each take the other for one that stands."""
    buyer = select(Participant.id).where(Participant.merchant_id == merchant_id, Participant.id == participant_id)
    await session.execute(buyer.with_for_update(key_share=True))


async def _lock_rewards(session: AsyncSession, order: Order) -> list[str]:
    """All rows first, in the order that granting locks them in; then by member, as their days are locked."""
    statement = (
        select(Reward)
        .where(
            Reward.merchant_id == order.merchant_id,
            Reward.campaign_id == order.campaign_id,
            Reward.invitee_id == order.participant_id,
            Reward.trigger == "order_paid",
            Reward.status.in_(("owed", "granted")),
        )
        .order_by(Reward.id)
        .with_for_update()
    )
    found = list(await session.scalars(statement))
    return [reward.id for reward in sorted(found, key=lambda reward: (reward.member_id, reward.id))]
