from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.campaigns.document import CommissionLevel, CommissionRule, RewardRule, RuleDocument
from app.kit import clock, ids
from app.models import Campaign, CampaignRule, Member, Participant

TWO_LEVELS = CommissionRule(
    levels=(CommissionLevel(level=1, rate_bps=3_000), CommissionLevel(level=2, rate_bps=1_000)), hold_days=7
)
BOTH_SIDES = (
    RewardRule(key="inviter_days", on="phone_verified", to="inviter", days=30, cap_days=365),
    RewardRule(key="invitee_days", on="signup", to="invitee", days=30),
)


async def make_campaign(
    session: AsyncSession,
    merchant_id: str,
    *,
    status: str = "active",
    commission: CommissionRule = TWO_LEVELS,
    rewards: tuple[RewardRule, ...] = BOTH_SIDES,
    **values: Any,
) -> Campaign:
    """The case-book campaign at 59.00 yuan."""
    given = {"product_name": "案例集 + 年度会员", "price_minor": 5_900, "starts_at": clock.utcnow(), **values}
    campaign = Campaign(
        merchant_id=merchant_id, id=ids.new("cmp"), name="案例集分销", kind="distribution", status=status, **given
    )
    document = RuleDocument(commission=commission, rewards=rewards).model_dump(mode="json")
    session.add(campaign)
    await session.flush()
    session.add(CampaignRule(merchant_id=merchant_id, campaign_id=campaign.id, version=1, document=document))
    await session.flush()
    await session.refresh(campaign)
    return campaign


async def make_participant(
    session: AsyncSession, campaign: Campaign, *, inviter: Participant | None = None, at: datetime | None = None
) -> Participant:
    """A member with a node in the tree, below `inviter` where one is given."""
    merchant_id = campaign.merchant_id
    member = Member(merchant_id=merchant_id, id=ids.new("mbr"), external_id=ids.new("ext"), nickname="小明")
    session.add(member)
    await session.flush()
    number = await session.scalar(Participant.__table__.c.number.default.next_value().select())
    participant = Participant(
        merchant_id=merchant_id,
        id=ids.new("ptc"),
        campaign_id=campaign.id,
        member_id=member.id,
        invite_code=ids.new_invite_code(),
        number=number,
        inviter_id=inviter and inviter.id,
        second_inviter_id=inviter and inviter.inviter_id,
        depth=inviter.depth + 1 if inviter else 0,
        path=f"{inviter.path if inviter else ''}{base36(number)}.",
        created_at=at or clock.utcnow(),
    )
    session.add(participant)
    await session.flush()
    return participant


def base36(number: int) -> str:
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = digits[digit] + text
    return text or "0"
