"""The platform as a merchant on itself: its members are the merchants, who invite each other by its campaign."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.campaigns import service as campaigns
from app.campaigns.document import AttributionRule, Binding, RewardDraft
from app.campaigns.drafting import CampaignFields, Landing
from app.db.rows import get_row
from app.kit import ids
from app.kit.errors import Forbidden, Unavailable
from app.models import Campaign, Merchant, MerchantUser

NAME = "Invitree 裂变分销"
INVITE_DAYS = 30
CAP_DAYS = 365
_FINANCE = frozenset({"owner", "finance"})
ADVISORY_LOCK = 7_203_114_902  # any number, the same everywhere

FIELDS: CampaignFields = {
    "name": "商户互邀",
    "kind": "refer_a_friend",
    # Both are owed until the new merchant has proven its phone or e-mail address.
    "rewards": [
        RewardDraft(on="phone_verified", to="inviter", days=INVITE_DAYS, cap_days=CAP_DAYS),
        RewardDraft(on="phone_verified", to="invitee", days=INVITE_DAYS),
    ],
    "attribution": AttributionRule(binding=Binding(mode="permanent", days=None)),
    "landing": Landing(
        headline="开通商户，双方各得 30 天",
        subtitle="注册即送 30 天，邀请商户再各得 30 天",
        organiser=NAME,
    ),
    "rules_text": "新商户验证手机号或邮箱后，邀请双方各获得 30 天会员期；每位邀请人累计最多 365 天。主办方：Invitree。",
}


async def ensure(session: AsyncSession, *, now: datetime) -> str:
    """The live house merchant's id. Where there is none, as *system*: make it, its test twin and their campaigns."""
    found = await live_id(session)
    if found is not None:
        return found
    await session.execute(select(func.pg_advisory_xact_lock(ADVISORY_LOCK)))
    return await live_id(session) or await _make(session, now)


async def live_id(session: AsyncSession) -> str | None:
    """Asked as *system*."""
    return await id_of(session, livemode=True)


async def id_of(session: AsyncSession, *, livemode: bool) -> str | None:
    """Of the house that merchants of this mode are members of; asked as *system*."""
    mine = select(Merchant.id).where(Merchant.is_house, Merchant.livemode.is_(livemode))
    found: str | None = await session.scalar(mine)
    return found


async def require_finance(session: AsyncSession, *, user_id: str) -> None:
    """An owner or finance of the platform, for merchants of both modes; asked as *system*.

    Forbidden `role_not_allowed`; NotFound for somebody of another merchant.
    """
    house_id = await live_id(session) or ""
    user = await get_row(session, MerchantUser, merchant_id=house_id, row_id=user_id, noun="merchant_user")
    if user.role not in _FINANCE:
        raise Forbidden("role_not_allowed", f"The role {user.role} of the platform may not; it takes finance or owner.")


async def campaign_id(session: AsyncSession, *, merchant_id: str) -> str:
    """The newest invite campaign of the house that runs; Unavailable while there is none."""
    running = select(Campaign.id).where(
        Campaign.merchant_id == merchant_id, Campaign.kind == "refer_a_friend", Campaign.status == "active"
    )
    found: str | None = await session.scalar(running.order_by(Campaign.id.desc()).limit(1))
    if found is None:
        raise Unavailable("registration_closed", "The house has no running campaign: new merchants wait for one.")
    return found


async def _make(session: AsyncSession, now: datetime) -> str:
    live, test = ids.new("mch"), ids.new("mch")
    for own, twin, livemode in ((live, test, True), (test, live, False)):
        session.add(
            Merchant(id=own, twin_id=twin, livemode=livemode, is_house=True, name=NAME, verified_at=now, created_at=now)
        )
    await session.flush()
    for merchant_id in (live, test):
        campaign, _ = await campaigns.create(session, merchant_id=merchant_id, fields=FIELDS, actor="system", now=now)
        await campaigns.publish(session, merchant_id=merchant_id, campaign_id=campaign.id, actor="system", now=now)
    return live
