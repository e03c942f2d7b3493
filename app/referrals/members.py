"""Finding or making the one member that an identity names, also when many ask at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.rows import get_row
from app.kit import ids
from app.kit.errors import Conflict
from app.models import Member
from app.referrals import assets, avatars
from app.referrals.identity import KEYS, MemberKeys
from app.referrals.identity import MemberIdentity as MemberIdentity

PROFILE = ("nickname", "avatar_url", "avatar_asset_id")


@dataclass(frozen=True, slots=True)
class Found:
    """`created`: this is the member's first appearance. `verified`: it was now that the phone became verified."""

    member: Member
    created: bool
    verified: bool


async def find(session: AsyncSession, *, merchant_id: str, keys: MemberKeys) -> Member | None:
    """The member that the keys name, if there is one; Conflict where they name several, or contradict the one."""
    return only(await named(session, merchant_id=merchant_id, keys=keys), keys)


async def named(session: AsyncSession, *, merchant_id: str, keys: MemberKeys) -> Sequence[Member]:
    """All members that any of the keys names."""
    any_key = or_(*(getattr(Member, name) == value for name, value in keys.unique.items()))
    statement = select(Member).where(Member.merchant_id == merchant_id, any_key)
    return (await session.scalars(statement.execution_options(populate_existing=True))).all()


def only(members: Sequence[Member], keys: MemberKeys) -> Member | None:
    if len(members) > 1:
        raise _conflict("The identifiers belong to different members.")
    if not members:
        return None
    _require_agreement(members[0], keys)
    return members[0]


async def settle(
    session: AsyncSession,
    *,
    merchant_id: str,
    identity: MemberIdentity,
    keys: MemberKeys,
    known: Member | None,
    now: datetime,
) -> Found:
    """Make the member where `known` is None, else add to it what is new; NotFound `asset_not_found` for its avatar."""
    if identity.avatar_asset_id is not None:
        await assets.require(session, merchant_id=merchant_id, asset_id=identity.avatar_asset_id)
    verified = identity.phone_verified and "phone" in keys.sealed
    if known is None:
        made = await _insert(session, merchant_id, identity, keys, now if verified else None, now)
        if made is not None:
            return Found(made, created=True, verified=verified)
        known = await find(session, merchant_id=merchant_id, keys=keys)
        if known is None:
            raise _conflict("Another request took one of the identifiers for another member.")
    newly = verified and known.phone_verified_at is None
    known = await _complete(session, known, identity, keys, verified_at=now if newly else None)
    return Found(known, created=False, verified=newly)


async def verify_phone(session: AsyncSession, *, merchant_id: str, member_id: str, now: datetime) -> Found:
    """The member's phone answered a code. `verified` is false where it was verified before, or there is none."""
    member = await get_row(session, Member, merchant_id=merchant_id, row_id=member_id, noun="member", fresh=True)
    newly = member.phone is not None and member.phone_verified_at is None
    if newly:
        member.phone_verified_at = now
        await session.flush()
    return Found(member, created=False, verified=newly)


async def _insert(
    session: AsyncSession,
    merchant_id: str,
    identity: MemberIdentity,
    keys: MemberKeys,
    verified_at: datetime | None,
    now: datetime,
) -> Member | None:
    """None where a rival's row was first, which this waits for."""
    values: dict[str, Any] = {name: getattr(identity, name) for name in PROFILE}
    values |= {**keys.unique, **keys.sealed, "meta": dict(identity.metadata)}
    values |= {"merchant_id": merchant_id, "id": ids.new("mbr"), "phone_verified_at": verified_at, "created_at": now}
    statement = insert(Member).values(values).on_conflict_do_nothing().returning(Member)
    made = (await session.scalars(statement)).one_or_none()
    if made is not None and made.avatar_url and made.avatar_asset_id is None:
        await avatars.owe(session, made)
    return made


async def _complete(
    session: AsyncSession, member: Member, identity: MemberIdentity, keys: MemberKeys, *, verified_at: datetime | None
) -> Member:
    missing = {name: value for name, value in keys.unique.items() if getattr(member, name) is None}
    changes: dict[str, Any] = {name: getattr(identity, name) for name in PROFILE if _differs(member, identity, name)}
    changes |= missing | {name: keys.sealed[name] for name in keys.sealed if f"{name}_index" in missing}
    if verified_at is not None:
        changes["phone_verified_at"] = verified_at
    if not changes:
        return member
    still_missing = (getattr(Member, name).is_(None) for name in missing)
    statement = (
        update(Member)
        .where(Member.merchant_id == member.merchant_id, Member.id == member.id, *still_missing)
        .values(changes)
        .returning(Member)
        .execution_options(populate_existing=True)
    )
    try:
        async with session.begin_nested():
            changed = (await session.scalars(statement)).one_or_none()
    except IntegrityError:
        raise _conflict("One of the identifiers was taken by another member just now.") from None
    if changed is not None:
        await _follow_picture(session, changed, changes)
        return changed
    # A rival gave this member one of them just now: the same one, or the two do not agree.
    await session.refresh(member)
    _require_agreement(member, keys)
    return await _complete(
        session, member, identity, keys, verified_at=None if member.phone_verified_at else verified_at
    )


async def _follow_picture(session: AsyncSession, member: Member, changes: dict[str, Any]) -> None:
    """What was said last counts: a picture that was chosen, or else the one behind the address."""
    if "avatar_asset_id" in changes:
        await avatars.drop(session, member)
    elif "avatar_url" in changes:
        await avatars.owe(session, member)


def _differs(member: Member, identity: MemberIdentity, name: str) -> bool:
    given = getattr(identity, name)
    return given is not None and given != getattr(member, name)


def _require_agreement(member: Member, keys: MemberKeys) -> None:
    for name in KEYS:
        given, known = keys.unique.get(name), getattr(member, name)
        if given is not None and known is not None and given != known:
            label = name.removesuffix("_index")
            raise _conflict(f"Member {member.id} is known with another {label}.")


def _conflict(detail: str) -> Conflict:
    return Conflict("member_identity_conflict", detail)
