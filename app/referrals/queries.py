"""Reading members, participants and referrals. The tree itself is in `tree.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.campaigns import queries as campaigns
from app.db.pages import Page, PageQuery, fetch_page
from app.db.rows import get_row
from app.kit import ids
from app.kit.errors import FieldError, Unprocessable
from app.models import Member, Participant, Referral
from app.referrals.tree import ancestors as ancestors
from app.referrals.tree import invitees as invitees
from app.referrals.tree import level_counts as level_counts


async def get_member(session: AsyncSession, *, merchant_id: str, member_id: str) -> Member:
    return await get_row(session, Member, merchant_id=merchant_id, row_id=member_id, noun="member")


async def get_participant(session: AsyncSession, *, merchant_id: str, participant_id: str) -> Participant:
    return await get_row(session, Participant, merchant_id=merchant_id, row_id=participant_id, noun="participant")


async def participant_of_member(
    session: AsyncSession, *, merchant_id: str, campaign_id: str, member_id: str
) -> Participant | None:
    statement = select(Participant).where(
        Participant.merchant_id == merchant_id,
        Participant.campaign_id == campaign_id,
        Participant.member_id == member_id,
    )
    return (await session.scalars(statement)).one_or_none()


async def participants_of_member(session: AsyncSession, *, merchant_id: str, member_id: str) -> list[Participant]:
    """In every campaign, oldest first."""
    mine = select(Participant).where(Participant.merchant_id == merchant_id, Participant.member_id == member_id)
    return list(await session.scalars(mine.order_by(Participant.id)))


async def by_invite_code(session: AsyncSession, *, merchant_id: str, campaign_id: str, invite_code: str) -> Participant:
    """The code's owner as it is now, in whatever case it was typed.

    Unprocessable `invite_code_unknown`, also for another merchant's; `invite_code_other_campaign` for an own one.
    """
    owner = await _owner(session, merchant_id, invite_code)
    if owner is None:
        raise _bad_code("invite_code_unknown", "No participant has this invite code; leave it out to go without.")
    if owner.campaign_id != campaign_id:
        raise _bad_code("invite_code_other_campaign", "This invite code belongs to another campaign of yours.")
    return owner


async def _owner(session: AsyncSession, merchant_id: str, invite_code: str) -> Participant | None:
    code = ids.normalise_invite_code(invite_code)
    if code is None:
        return None
    statement = select(Participant).where(Participant.merchant_id == merchant_id, Participant.invite_code == code)
    return (await session.scalars(statement.execution_options(populate_existing=True))).one_or_none()


def _bad_code(code: str, detail: str) -> Unprocessable:
    return Unprocessable(code, detail, errors=[FieldError("/invite_code", code, detail)])


@dataclass(frozen=True, slots=True)
class CodeOwner:
    merchant_id: str
    campaign_id: str
    participant_id: str


async def merchant_of_code(session: AsyncSession, invite_code: str) -> CodeOwner | None:
    """Whose code it is, asked as *system*: that is the question."""
    code = ids.normalise_invite_code(invite_code)
    owner = select(Participant.merchant_id, Participant.campaign_id, Participant.id).where(
        Participant.invite_code == code
    )
    row = (await session.execute(owner)).one_or_none() if code else None
    return None if row is None else CodeOwner(*row)


async def referral_of(session: AsyncSession, *, merchant_id: str, invitee: Participant) -> Referral | None:
    statement = select(Referral).where(
        Referral.merchant_id == merchant_id,
        Referral.campaign_id == invitee.campaign_id,
        Referral.invitee_id == invitee.id,
    )
    return (await session.scalars(statement)).one_or_none()


async def participants_page(
    session: AsyncSession, *, merchant_id: str, campaign_id: str, query: PageQuery
) -> Page[Participant]:
    """NotFound `campaign_not_found`."""
    campaign = await campaigns.get(session, merchant_id=merchant_id, campaign_id=campaign_id)
    mine = select(Participant).where(Participant.merchant_id == merchant_id, Participant.campaign_id == campaign.id)
    return await fetch_page(session, mine, query)


async def participant_ids(
    session: AsyncSession, *, merchant_id: str, campaign_id: str, most: int | None = None
) -> list[str]:
    """All of a campaign, or the first of them, oldest first; NotFound `campaign_not_found`."""
    campaign = await campaigns.get(session, merchant_id=merchant_id, campaign_id=campaign_id)
    mine = select(Participant.id).where(Participant.merchant_id == merchant_id, Participant.campaign_id == campaign.id)
    return list(await session.scalars(mine.order_by(Participant.id).limit(most)))


async def members_page(session: AsyncSession, *, merchant_id: str, query: PageQuery) -> Page[Member]:
    return await fetch_page(session, select(Member).where(Member.merchant_id == merchant_id), query)


async def nicknames(session: AsyncSession, *, merchant_id: str, member_ids: Sequence[str]) -> dict[str, str | None]:
    statement = select(Member.id, Member.nickname).where(Member.merchant_id == merchant_id, Member.id.in_(member_ids))
    return dict((await session.execute(statement)).tuples().all())
