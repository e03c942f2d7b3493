"""A friend signs up: member, participant, referral and what both sides are owed, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.campaigns import queries as campaigns
from app.campaigns.document import RuleDocument
from app.campaigns.rules import require_open
from app.models import Campaign, Member, Participant, Referral, Reward
from app.referrals import members
from app.referrals import queries as referrals
from app.referrals import service as referral_service
from app.referrals.entry import Entry, EntryRequest, enter
from app.referrals.identity import MemberIdentity
from app.referrals.members import Found
from app.rewards import queries as reward_queries
from app.rewards import service as rewards


@dataclass(frozen=True, slots=True)
class SignupResult:
    """`rewards` are those of this invite, for both sides, whatever became of them. `created`: it was made now."""

    participant: Participant
    member: Member
    referral: Referral | None
    rewards: list[Reward]
    created: bool


async def sign_up(
    session: AsyncSession,
    *,
    merchant_id: str,
    campaign_id: str,
    identity: MemberIdentity,
    invite_code: str | None,
    now: datetime,
    visitor_id: str | None = None,
    metadata: Mapping[str, Any] = MappingProxyType({}),
) -> SignupResult:
    """The same member again changes nothing, but where the binding mode lets another invite take over.

    Conflict `campaign_not_active`, `campaign_ended`, `member_identity_conflict`; Unprocessable `invite_code_unknown`,
    `invite_code_other_campaign`, `self_invite`, `phone_invalid`, `member_identity_missing`.
    """
    campaign = await campaigns.get(session, merchant_id=merchant_id, campaign_id=campaign_id)
    require_open(campaign, "join", now=now)
    rule = await campaigns.get_rule(session, merchant_id=merchant_id, campaign_id=campaign_id)
    request = EntryRequest(
        merchant_id=merchant_id,
        campaign_id=campaign_id,
        rule=rule.attribution,
        identity=identity,
        invite_code=invite_code,
        now=now,
        visitor_id=visitor_id,
        may_take_over=True,
        metadata=metadata,
    )
    entry = await enter(session, request)
    owed = await _owe(session, campaign, rule, entry, now)
    waiting = await _waiting_for_phone(session, merchant_id, entry.found)
    due = [*rewards.due_now(owed), *waiting]
    await rewards.grant(session, merchant_id=merchant_id, rewards=due, now=now)
    if not entry.created:
        owed = await reward_queries.of_invitee(session, merchant_id=merchant_id, invitee=entry.participant)
    return SignupResult(entry.participant, entry.found.member, entry.referral, owed, entry.created)


async def join(
    session: AsyncSession,
    *,
    merchant_id: str,
    campaign_id: str,
    identity: MemberIdentity,
    invite_code: str | None,
    now: datetime,
    metadata: Mapping[str, Any] = MappingProxyType({}),
) -> Entry:
    """`referrals.service.join`; what earlier invites of this member owe until its phone is verified is granted."""
    entry = await referral_service.join(
        session,
        merchant_id=merchant_id,
        campaign_id=campaign_id,
        identity=identity,
        invite_code=invite_code,
        metadata=metadata,
        now=now,
    )
    waiting = await _waiting_for_phone(session, merchant_id, entry.found)
    await rewards.grant(session, merchant_id=merchant_id, rewards=waiting, now=now)
    return entry


async def phone_verified(session: AsyncSession, *, merchant_id: str, member_id: str, now: datetime) -> list[Reward]:
    """A code came back from the member's phone: what its invites owed until then is granted; those rewards."""
    found = await members.verify_phone(session, merchant_id=merchant_id, member_id=member_id, now=now)
    waiting = await _waiting_for_phone(session, merchant_id, found)
    await rewards.grant(session, merchant_id=merchant_id, rewards=waiting, now=now)
    return waiting


async def _owe(
    session: AsyncSession, campaign: Campaign, rule: RuleDocument, entry: Entry, now: datetime
) -> list[Reward]:
    if not entry.created or entry.referral is None or entry.inviter is None:
        return []
    return await rewards.owe(
        session,
        merchant_id=campaign.merchant_id,
        campaign=campaign,
        rule=rule,
        referral=entry.referral,
        inviter=entry.inviter,
        invitee=entry.participant,
        phone_verified=entry.found.member.phone_verified_at is not None,
        now=now,
    )


async def _waiting_for_phone(session: AsyncSession, merchant_id: str, found: Found) -> list[Reward]:
    """Rewards of this member's earlier signups, where its phone has become verified just now."""
    if found.created or not found.verified:
        return []
    mine = await referrals.participants_of_member(session, merchant_id=merchant_id, member_id=found.member.id)
    return await rewards.mark_ripe(session, merchant_id=merchant_id, trigger="phone_verified", invitees=mine)
