"""What a merchant is on the platform: plan, days, invite code. Read as *system*: the days are the house's rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.db.pages import Page, PageQuery, fetch_page
from app.kit import ids
from app.kit.errors import PaymentRequired, not_found
from app.models import Membership, MembershipGrant, Merchant, PlanPurchase
from app.plans import queries as plans
from app.plans import rules as plan_rules
from app.plans.rules import Standing
from app.rewards import rules as days

House = aliased(Merchant)
Live = aliased(Merchant)


@dataclass(frozen=True, slots=True)
class Account:
    """`live` is the live merchant behind `merchant`, itself or its twin, whose proof and invite code both have.

    A test tenant has its live twin's days and plan, and besides what was bought with a test key; both by its own clock.
    """

    merchant: Merchant
    live: Merchant
    base: Standing
    purchases: Sequence[PlanPurchase]
    ends_at: datetime | None

    def is_member(self, now: datetime) -> bool:
        """`now` is the tenant's clock."""
        return self.live.is_house or (self.ends_at is not None and self.ends_at > now)

    def plan(self, now: datetime) -> Standing:
        return plan_rules.standing(self.base, self.purchases, now=now)


async def get(session: AsyncSession, *, merchant_id: str) -> Account:
    """NotFound `merchant_not_found` for an id that is nobody's."""
    try:
        ids.decode("mch", merchant_id)
    except ValueError:
        raise not_found("merchant") from None
    house = select(House.id).where(House.is_house, House.livemode).scalar_subquery()
    statement = (
        select(Merchant, Live, Membership.ends_at)
        .join(Live, (Live.id == Merchant.id) | (Live.id == Merchant.twin_id))
        .outerjoin(Membership, (Membership.merchant_id == house) & (Membership.member_id == Live.house_member_id))
        .where(Merchant.id == merchant_id, Live.livemode)
    )
    row = (await session.execute(statement)).one_or_none()
    if row is None:
        raise not_found("merchant")
    merchant, live, ends_at = row
    base, purchases = await plans.terms(session, merchant_id=merchant_id)
    return Account(merchant, live, base, purchases, await _ends_at(session, merchant, live, ends_at))


async def _ends_at(session: AsyncSession, merchant: Merchant, live: Merchant, kept: datetime | None) -> datetime | None:
    """Of a test tenant that has days of its own: one timeline of these and its live twin's."""
    if merchant.livemode or merchant.house_member_id is None:
        return kept
    houses = select(House.id).where(House.is_house)
    members = [member for member in (live.house_member_id, merchant.house_member_id) if member]
    statement = select(MembershipGrant).where(
        MembershipGrant.merchant_id.in_(houses), MembershipGrant.member_id.in_(members)
    )
    own = days.ends_at((await session.scalars(statement)).all())
    return max(filter(None, (kept, own)), default=None)


async def page(session: AsyncSession, *, query: PageQuery) -> Page[Merchant]:
    """Live merchants, newest first; as *system*."""
    return await fetch_page(session, select(Merchant).where(Merchant.livemode), query)


async def require_membership(session: AsyncSession, *, merchant_id: str, now: datetime) -> None:
    """PaymentRequired `membership_ended` for a merchant without days at `now`, by its own clock.

    What it has published runs on, and what it has scheduled begins: promoters have its date by then.
    """
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
