"""Who stood above a participant at an earlier instant: what came after never rewrites it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, any_, bindparam, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from app.kit import ids
from app.models import Participant, PastBinding, Referral
from app.referrals.sameness import share_an_account


def _among(column: InstrumentedAttribute[Any], name: str) -> ColumnElement[bool]:
    return column == any_(bindparam(name, type_=ARRAY(column.type)))


# Each order asks these, and writing them down takes longer than asking.
_REPLACED_SINCE = (
    select(PastBinding)
    .where(
        PastBinding.merchant_id == bindparam("merchant_id"),
        _among(PastBinding.invitee_id, "invitees"),
        PastBinding.replaced_at > bindparam("at"),
    )
    .order_by(PastBinding.replaced_at.desc(), PastBinding.id.desc())
)
_ENDS_AT = select(Referral.binding_ends_at).where(
    Referral.merchant_id == bindparam("merchant_id"),
    Referral.campaign_id == bindparam("campaign_id"),
    Referral.invitee_id == bindparam("invitee_id"),
)
_ABOVE = select(
    Participant.id,
    Participant.member_id,
    Participant.is_promoter,
    share_an_account(bindparam("merchant_id"), bindparam("member_id"), Participant.member_id),
).where(Participant.merchant_id == bindparam("merchant_id"), _among(Participant.id, "participants"))
_IS_REPLACED = (
    select(PastBinding.id)
    .where(
        PastBinding.merchant_id == bindparam("merchant_id"),
        or_(PastBinding.invitee_id == bindparam("invitee_id"), PastBinding.invitee_id == bindparam("inviter_id")),
        PastBinding.replaced_at > bindparam("at"),
    )
    .exists()
)
_ABOVE_AND_END = _ABOVE.add_columns(_ENDS_AT.scalar_subquery(), _IS_REPLACED)


@dataclass(frozen=True, slots=True)
class Above:
    """One step up. `shares_account`: is paid to an account of the one at the bottom. `replaced_at`: when somebody else
    took this place, None where nobody has."""

    participant_id: str
    member_id: str
    is_promoter: bool
    shares_account: bool = False
    replaced_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Chain:
    """Inviter and second inviter, nearest first; `ends_at`: when the binding to the first one ends, None for never."""

    above: tuple[Above, ...] = ()
    ends_at: datetime | None = None
    replaced_at: datetime | None = None


def keep(
    session: AsyncSession, invitee: Participant, referral: Referral | None, *, inviter_id: str | None, now: datetime
) -> None:
    """Write down what held until now; the caller has the campaign's tree alone."""
    row = PastBinding(
        merchant_id=invitee.merchant_id,
        id=ids.new("pbd"),
        invitee_id=invitee.id,
        inviter_id=inviter_id,
        bound_at=referral and referral.bound_at,
        binding_ends_at=referral and referral.binding_ends_at,
        replaced_at=now,
    )
    session.add(row)


async def chain_at(session: AsyncSession, *, merchant_id: str, participant: Participant, at: datetime) -> Chain:
    """The two above as they were. A first binding reaches back: before it nobody else could have had the place."""
    if participant.inviter_id is None:
        return Chain()
    as_now, is_replaced = await _still(session, participant, at)
    if not is_replaced:
        return as_now
    past = await _replaced_since(session, merchant_id, [participant.id, participant.inviter_id], at)
    if participant.id not in past:
        return (await _still(session, participant, at, past.get(participant.inviter_id)))[0]
    mine = past[participant.id]
    if mine.inviter_id is None:
        return Chain(replaced_at=mine.replaced_at)
    first = await session.get_one(Participant, (merchant_id, mine.inviter_id))
    theirs = (await _replaced_since(session, merchant_id, [first.id], at)).get(first.id)
    second_id = theirs.inviter_id if theirs else first.inviter_id
    found = await _read(session, participant, [first.id, second_id])
    replaced = theirs.replaced_at if theirs else mine.replaced_at
    above = _steps(found, (first.id, mine.replaced_at), (second_id, replaced))
    return Chain(above, mine.binding_ends_at, mine.replaced_at)


async def _still(
    session: AsyncSession, participant: Participant, at: datetime, theirs: PastBinding | None = None
) -> tuple[Chain, bool]:
    """The first inviter is the same as now; `theirs`: what that one was bound to. And whether either of the two, the
    participant or the inviter, was bound to another one at that time."""
    second_id = theirs.inviter_id if theirs else participant.second_inviter_id
    values = {
        "merchant_id": participant.merchant_id,
        "campaign_id": participant.campaign_id,
        "invitee_id": participant.id,
        "inviter_id": participant.inviter_id,
        "at": at,
        "member_id": participant.member_id,
        "participants": [one for one in (participant.inviter_id, second_id) if one],
    }
    rows = (await session.execute(_ABOVE_AND_END, values)).all()
    found = {row.id: Above(*row[:4]) for row in rows}
    ends_at, is_replaced = rows[0][4:]
    replaced = theirs.replaced_at if theirs else None
    return Chain(_steps(found, (participant.inviter_id, None), (second_id, replaced)), ends_at), is_replaced


def _steps(found: dict[str, Above], *wanted: tuple[str | None, datetime | None]) -> tuple[Above, ...]:
    return tuple(replace(found[one], replaced_at=replaced_at) for one, replaced_at in wanted if one)


async def _read(session: AsyncSession, below: Participant, participant_ids: Sequence[str | None]) -> dict[str, Above]:
    wanted = {
        "merchant_id": below.merchant_id,
        "member_id": below.member_id,
        "participants": [one for one in participant_ids if one],
    }
    return {row.id: Above(*row) for row in await session.execute(_ABOVE, wanted)}


async def _replaced_since(
    session: AsyncSession, merchant_id: str, invitee_ids: Sequence[str], at: datetime
) -> dict[str, PastBinding]:
    """By invitee, the first binding that was replaced after `at`: it is the one that held then."""
    wanted = {"merchant_id": merchant_id, "invitees": list(invitee_ids), "at": at}
    return {row.invitee_id: row for row in await session.scalars(_REPLACED_SINCE, wanted)}
