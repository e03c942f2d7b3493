"""Entering a campaign: the member, its node in the tree, and the invite that it came by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.campaigns.document import AttributionRule
from app.db import outbox
from app.kit import ids
from app.kit.errors import Unavailable
from app.models import Member, Participant, Referral
from app.referrals import binding, locks, members, queries, rules
from app.referrals.identity import MemberIdentity, MemberKeys, keys_of
from app.referrals.members import Found
from app.referrals.views import participant_view, referral_view

CODE_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class EntryRequest:
    """Who wants to enter which campaign, and by whose invite."""

    merchant_id: str
    campaign_id: str
    rule: AttributionRule
    identity: MemberIdentity
    invite_code: str | None
    now: datetime
    visitor_id: str | None = None
    may_take_over: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)
    new_code: Callable[[], str] = ids.new_invite_code


@dataclass(frozen=True, slots=True)
class Entry:
    participant: Participant
    found: Found
    inviter: Participant | None
    referral: Referral | None
    created: bool


async def enter(session: AsyncSession, request: EntryRequest) -> Entry:
    """The participant of this member, made now or before; a new one is bound to the owner of the code."""
    keys = keys_of(request.identity)
    named = await members.named(session, merchant_id=request.merchant_id, keys=keys)
    participant = await _participant_of(session, request, named[0]) if len(named) == 1 else None
    if participant is not None:
        return await _again(session, request, keys, named[0], participant)
    # The lock before the inviter is read: its path must be the one that is still true at the commit.
    number = await _number(session, request)
    inviter = await _inviter(session, request, named)
    found = await _settle(session, request, keys, members.only(named, keys))
    participant, created = await _node(session, request, found.member, inviter, number)
    if not created:
        referral = await queries.referral_of(session, merchant_id=request.merchant_id, invitee=participant)
        return Entry(participant, found, inviter, referral, created=False)
    new = binding.Bond(request.rule, "first_bind", request.now, request.visitor_id)
    referral = await binding.bind(session, participant, inviter, new, new_member=found.created) if inviter else None
    await _tell(session, participant, referral)
    return Entry(participant, found, inviter, referral, created=True)


async def _again(
    session: AsyncSession, request: EntryRequest, keys: MemberKeys, member: Member, participant: Participant
) -> Entry:
    """A known participant. The code it came back with wins only where the campaign's binding mode says so."""
    inviter = await _inviter(session, request, [member])
    members.only([member], keys)
    referral = await queries.referral_of(session, merchant_id=request.merchant_id, invitee=participant)
    if inviter is not None and _wins(request, participant, referral, inviter):
        # Before the member's row is touched: that lock and the tree's are taken in one order by everyone.
        participant, referral = await _take_over(session, request, participant, referral, inviter)
    found = await _settle(session, request, keys, member)
    return Entry(participant, found, inviter, referral, created=False)


async def _take_over(
    session: AsyncSession,
    request: EntryRequest,
    participant: Participant,
    referral: Referral | None,
    inviter: Participant,
) -> tuple[Participant, Referral | None]:
    """Looked at again under the lock: of rivals at the end of a binding the first one wins, the others come late."""
    await locks.alone(session, request.campaign_id)
    await session.refresh(participant)
    if referral is not None:
        await session.refresh(referral)
    if not _wins(request, participant, referral, inviter):
        return participant, referral
    won = "renewed" if inviter.id == participant.inviter_id else "took_over"
    bond = binding.Bond(request.rule, won, request.now, request.visitor_id)
    return await binding.hang(session, participant, inviter, bond)


def _wins(request: EntryRequest, participant: Participant, referral: Referral | None, inviter: Participant) -> bool:
    return request.may_take_over and rules.may_take_over(
        request.rule,
        bound=referral is not None,
        ends_at=referral.binding_ends_at if referral else None,
        now=request.now,
        same=inviter.id == participant.inviter_id,
    )


async def _settle(session: AsyncSession, request: EntryRequest, keys: MemberKeys, known: Member | None) -> Found:
    return await members.settle(
        session, merchant_id=request.merchant_id, identity=request.identity, keys=keys, known=known, now=request.now
    )


async def _participant_of(session: AsyncSession, request: EntryRequest, member: Member) -> Participant | None:
    return await queries.participant_of_member(
        session, merchant_id=request.merchant_id, campaign_id=request.campaign_id, member_id=member.id
    )


async def _number(session: AsyncSession, request: EntryRequest) -> int:
    if request.invite_code is None:
        return await locks.number(session)
    return await locks.number_under_shared_lock(session, request.campaign_id)


async def _inviter(session: AsyncSession, request: EntryRequest, named: Sequence[Member]) -> Participant | None:
    """The code's owner; Unprocessable `self_invite` where that is one of those whom the identity names."""
    if request.invite_code is None:
        return None
    inviter = await queries.by_invite_code(
        session,
        merchant_id=request.merchant_id,
        campaign_id=request.campaign_id,
        invite_code=request.invite_code,
    )
    for member in named:
        await binding.require_other_person(session, inviter, invitee_member_id=member.id)
    return inviter


async def _node(
    session: AsyncSession, request: EntryRequest, member: Member, inviter: Participant | None, number: int
) -> tuple[Participant, bool]:
    """The member's node and whether it was made now. What a rival made is waited for and found."""
    for _ in range(CODE_ATTEMPTS):
        made = await _insert(session, request, member, inviter, number)
        if made is not None:
            return made, True
        rival = await _participant_of(session, request, member)
        if rival is not None:
            return rival, False
    raise Unavailable("invite_code_unavailable", "No free invite code was found; try again.", retry_after=1)


async def _insert(
    session: AsyncSession, request: EntryRequest, member: Member, inviter: Participant | None, number: int
) -> Participant | None:
    values = {
        "merchant_id": request.merchant_id,
        "id": ids.new("ptc"),
        "campaign_id": request.campaign_id,
        "member_id": member.id,
        "invite_code": request.new_code(),
        "number": number,
        "inviter_id": inviter and inviter.id,
        "second_inviter_id": inviter and inviter.inviter_id,
        "depth": inviter.depth + 1 if inviter else 0,
        "path": (inviter.path if inviter else "") + rules.segment(number),
        "meta": dict(request.metadata),
        "created_at": request.now,
    }
    statement = insert(Participant).values(values).on_conflict_do_nothing().returning(Participant)
    return (await session.scalars(statement)).one_or_none()


async def _tell(session: AsyncSession, participant: Participant, referral: Referral | None) -> None:
    events = [("participant.created", participant_view(participant))]
    if referral is not None:
        events.append(("referral.created", referral_view(referral)))
    await outbox.emit_all(session, participant.merchant_id, events, at=participant.created_at)
