"""Tying an invitee to an inviter, for the first time or anew."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.campaigns.document import AttributionRule
from app.db.rows import get_row
from app.kit import ids
from app.kit.errors import Unprocessable
from app.models import Participant, Referral
from app.referrals import history, locks, queries, rules, tree
from app.referrals.sameness import share_an_account


@dataclass(frozen=True, slots=True)
class Bond:
    """By which rule, when, and `won`: why this inviter and no other."""

    rule: AttributionRule
    won: str
    now: datetime
    visitor_id: str | None = None
    note: str | None = None


async def bind(
    session: AsyncSession, invitee: Participant, inviter: Participant, bond: Bond, *, new_member: bool
) -> Referral:
    referral = Referral(
        merchant_id=invitee.merchant_id,
        id=ids.new("ref"),
        campaign_id=invitee.campaign_id,
        invitee_id=invitee.id,
        new_member=new_member,
        created_at=bond.now,
        **_terms(inviter, bond),
    )
    session.add(referral)
    await session.flush()
    return referral


async def hang(
    session: AsyncSession, participant: Participant, inviter: Participant, bond: Bond
) -> tuple[Participant, Referral]:
    """Put a node, with everything below it, under another inviter; Conflict `referral_cycle`.

    Both ends are read again under the lock: a rival may have moved either of them.
    """
    await locks.alone(session, participant.campaign_id)
    participant, inviter = await _fresh(session, participant), await _fresh(session, inviter)
    rules.require_no_cycle(inviter_path=inviter.path, invitee_path=participant.path)
    before = participant.inviter_id
    if before != inviter.id:
        await tree.move(session, participant=participant, inviter=inviter)
    referral = await queries.referral_of(session, merchant_id=participant.merchant_id, invitee=participant)
    history.keep(session, participant, referral, inviter_id=before, now=bond.now)
    if referral is None:
        referral = await bind(session, participant, inviter, bond, new_member=False)
    else:
        for name, value in _terms(inviter, bond, before=before).items():
            setattr(referral, name, value)
        await session.flush()
    return await _fresh(session, participant), referral


async def require_other_person(session: AsyncSession, inviter: Participant, *, invitee_member_id: str) -> None:
    """Unprocessable `self_invite` where both are one member, or are paid to one account."""
    is_one = inviter.member_id == invitee_member_id
    shared = share_an_account(inviter.merchant_id, invitee_member_id, inviter.member_id)
    if is_one or await session.scalar(select(shared)):
        raise Unprocessable("self_invite", "Nobody can invite themselves: inviter and invitee are the same person.")


def _terms(inviter: Participant, bond: Bond, *, before: str | None = None) -> dict[str, Any]:
    decision = rules.decision(
        bond.rule, bond.won, inviter.invite_code, visitor_id=bond.visitor_id, before=before, note=bond.note
    )
    return {
        "inviter_id": inviter.id,
        "bound_at": bond.now,
        "binding_ends_at": rules.binding_ends_at(bond.rule, bond.now),
        "decision": decision,
    }


async def _fresh(session: AsyncSession, row: Participant) -> Participant:
    return await get_row(
        session, Participant, merchant_id=row.merchant_id, row_id=row.id, noun="participant", fresh=True
    )
