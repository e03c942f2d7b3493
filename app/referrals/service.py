"""Joining a campaign, and moving an invitee to another inviter."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app import audit
from app.campaigns import queries as campaigns
from app.campaigns.rules import require_open
from app.db.rows import get_row
from app.kit.errors import Unprocessable
from app.models import Participant, Referral
from app.referrals import binding, queries
from app.referrals.entry import Entry, EntryRequest, enter
from app.referrals.identity import MemberIdentity


async def join(
    session: AsyncSession,
    *,
    merchant_id: str,
    campaign_id: str,
    identity: MemberIdentity,
    invite_code: str | None = None,
    metadata: Mapping[str, Any] = MappingProxyType({}),
    now: datetime,
) -> Entry:
    """Make a promoter. Nothing is granted for it; with a code the new participant is bound to its owner."""
    campaign = await campaigns.get(session, merchant_id=merchant_id, campaign_id=campaign_id)
    require_open(campaign, "join", now=now)
    rule = await campaigns.get_rule(session, merchant_id=merchant_id, campaign_id=campaign_id)
    request = EntryRequest(
        merchant_id, campaign_id, rule.attribution, identity, invite_code=invite_code, now=now, metadata=metadata
    )
    return await enter(session, request)


async def rebind(
    session: AsyncSession,
    *,
    merchant_id: str,
    participant_id: str,
    inviter_id: str,
    reason: str,
    actor: str,
    now: datetime,
) -> Participant:
    """Give a participant another inviter, everything below it coming along. Orders keep what they were made with.

    Conflict `referral_cycle`; Unprocessable `self_invite`, `inviter_other_campaign`.
    """
    participant = await queries.get_participant(session, merchant_id=merchant_id, participant_id=participant_id)
    inviter = await get_row(session, Participant, merchant_id=merchant_id, row_id=inviter_id, noun="inviter")
    if inviter.campaign_id != participant.campaign_id:
        raise Unprocessable("inviter_other_campaign", "Inviter and invitee are participants of the same campaign.")
    if inviter.id == participant.inviter_id:
        return participant
    await binding.require_other_person(session, inviter, invitee_member_id=participant.member_id)
    rule = await campaigns.get_rule(session, merchant_id=merchant_id, campaign_id=participant.campaign_id)
    bond = binding.Bond(rule.attribution, "rebind", now, note=reason)
    participant, referral = await binding.hang(session, participant, inviter, bond)
    _audit(session, participant, referral, reason=reason, actor=actor, now=now)
    return participant


def _audit(
    session: AsyncSession, participant: Participant, referral: Referral, *, reason: str, actor: str, now: datetime
) -> None:
    own = {"merchant_id": participant.merchant_id, "actor": actor, "subject_id": participant.id}
    detail = {"from": referral.decision.get("before"), "to": referral.inviter_id}
    audit.record(session, **own, action="participant.rebound", reason=reason, detail=detail, at=now)
