from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.pages import Page, PageQuery, fetch_page
from app.db.rows import get_row
from app.models import Membership, MembershipGrant, Merchant, Participant, Reward


async def membership(session: AsyncSession, *, merchant_id: str, member_id: str) -> Membership | None:
    """The cached end of a member's days; None where nothing was ever granted."""
    return await session.get(Membership, (merchant_id, member_id))


async def grants(session: AsyncSession, *, merchant_id: str, member_id: str) -> Sequence[MembershipGrant]:
    mine = select(MembershipGrant).where(
        MembershipGrant.merchant_id == merchant_id, MembershipGrant.member_id == member_id
    )
    return (await session.scalars(mine)).all()


async def get_reward(session: AsyncSession, *, merchant_id: str, reward_id: str) -> Reward:
    return await get_row(session, Reward, merchant_id=merchant_id, row_id=reward_id, noun="reward")


async def of_invitee(session: AsyncSession, *, merchant_id: str, invitee: Participant) -> list[Reward]:
    """What both sides were promised for this invitee, oldest first."""
    statement = select(Reward).where(
        Reward.merchant_id == merchant_id,
        Reward.campaign_id == invitee.campaign_id,
        Reward.invitee_id == invitee.id,
    )
    return list(await session.scalars(statement.order_by(Reward.id)))


async def rewards_page(session: AsyncSession, *, merchant_id: str, query: PageQuery) -> Page[Reward]:
    return await fetch_page(session, select(Reward).where(Reward.merchant_id == merchant_id), query)


async def merchants_due(session: AsyncSession, *, limit: int = 50) -> list[tuple[str, int]]:
    """Merchants that owe rewards which are due, with the offset of their clocks; asked as *system*."""
    due = (
        select(Reward.merchant_id)
        .where(Reward.status == "owed", Reward.ripe, Reward.next_attempt_at <= func.now())
        .order_by(Reward.next_attempt_at)
        .limit(1_000)
        .subquery()
    )
    statement = select(Merchant.id, Merchant.clock_offset_seconds).where(Merchant.id.in_(select(due.c.merchant_id)))
    return [(row[0], row[1]) for row in await session.execute(statement.limit(limit))]


async def granted_days(session: AsyncSession, *, merchant_id: str, participant_id: str) -> int:
    """All the days that one participation has brought, for inviting and for being invited."""
    statement = select(func.coalesce(func.sum(Reward.days), 0)).where(
        Reward.merchant_id == merchant_id, Reward.participant_id == participant_id, Reward.status == "granted"
    )
    return int((await session.scalars(statement)).one())
