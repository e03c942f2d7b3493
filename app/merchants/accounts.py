"""What a merchant is on the platform: plan, days, invite code. Read as *system*: the days are the house's rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.db.pages import Page, PageQuery, fetch_page
from app.kit import ids
from app.kit.errors import PaymentRequired, not_found
from app.models import Membership, Merchant, Plan

House = aliased(Merchant)
Live = aliased(Merchant)


@dataclass(frozen=True, slots=True)
class Account:
    """`live` is the live merchant behind `merchant`, itself or its twin: plan, days and proof are the live one's."""

    merchant: Merchant
    live: Merchant
    plan: Plan
    ends_at: datetime | None

    def is_member(self, now: datetime) -> bool:
        """`now` is the real time also for a test tenant, whose own clock can only run ahead."""
        return self.live.is_house or (self.ends_at is not None and self.ends_at > now)


async def get(session: AsyncSession, *, merchant_id: str) -> Account:
    """NotFound `merchant_not_found` for an id that is nobody's."""
    try:
        ids.decode("mch", merchant_id)
    except ValueError:
        raise not_found("merchant") from None
    house = select(House.id).where(House.is_house, House.livemode).scalar_subquery()
    statement = (
        select(Merchant, Live, Plan, Membership.ends_at)
        .join(Live, (Live.id == Merchant.id) | (Live.id == Merchant.twin_id))
        .join(Plan, Plan.key == Live.plan)
        .outerjoin(Membership, (Membership.merchant_id == house) & (Membership.member_id == Live.house_member_id))
        .where(Merchant.id == merchant_id, Live.livemode)
    )
    row = (await session.execute(statement)).one_or_none()
    if row is None:
        raise not_found("merchant")
    return Account(*row)


async def page(session: AsyncSession, *, query: PageQuery) -> Page[Merchant]:
    """Live merchants, newest first; as *system*."""
    return await fetch_page(session, select(Merchant).where(Merchant.livemode), query)


async def require_membership(session: AsyncSession, *, merchant_id: str, now: datetime) -> None:
    """PaymentRequired `membership_ended` for a merchant without days; what it has published runs on."""
    account = await get(session, merchant_id=merchant_id)
    if not account.is_member(now):
        raise PaymentRequired(
            "membership_ended",
            "The membership has ended: invite a merchant for 30 more days, or buy a plan. Running campaigns go on.",
        )


async def of_house_member(session: AsyncSession, *, member_id: str) -> Merchant | None:
    """The live merchant that a member of the house is; as *system*."""
    statement = select(Merchant).where(Merchant.house_member_id == member_id, Merchant.livemode)
    return (await session.scalars(statement)).one_or_none()


async def of_invite_code(session: AsyncSession, *, invite_code: str) -> Merchant | None:
    """The live merchant that invites others by this code; as *system*."""
    code = ids.normalise_invite_code(invite_code)
    statement = select(Merchant).where(Merchant.invite_code == code, Merchant.livemode)
    return (await session.scalars(statement)).one_or_none() if code else None
