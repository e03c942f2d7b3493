"""A member's days: appended as grants under a lock, their end cached."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit import clock, ids
from app.models import Membership, MembershipGrant
from app.rewards import rules


async def extend(
    session: AsyncSession,
    *,
    merchant_id: str,
    member_id: str,
    source: str,
    source_key: str,
    days: int,
    paid: bool,
    now: datetime,
) -> Membership:
    """Give days that are no reward: a trial, a plan that was paid for. The same source and key again gives nothing."""
    locked = await lock(session, merchant_id=merchant_id, member_ids=[member_id])
    known = select(MembershipGrant.id).where(
        MembershipGrant.merchant_id == merchant_id,
        MembershipGrant.source == source,
        MembershipGrant.source_key == source_key,
    )
    if await session.scalar(known) is None:
        grant = make_grant(merchant_id, member_id, source, source_key, days=days, paid=paid, now=now)
        await append(session, locked, [grant])
    return locked[member_id]


async def lock(session: AsyncSession, *, merchant_id: str, member_ids: Iterable[str]) -> dict[str, Membership]:
    """The rows of these members, made where there were none, locked in the order of their ids by everyone."""
    rows = [{"merchant_id": merchant_id, "member_id": member_id} for member_id in sorted(set(member_ids))]
    # One statement makes, locks and reads: an update of a row to what it is.
    locking = insert(Membership).on_conflict_do_update(
        index_elements=["merchant_id", "member_id"], set_={"ends_at": Membership.ends_at}
    )
    found = await session.scalars(locking.returning(Membership), rows, execution_options={"populate_existing": True})
    return {row.member_id: row for row in found}


def make_grant(
    merchant_id: str, member_id: str, source: str, source_key: str, *, days: int, paid: bool = False, now: datetime
) -> MembershipGrant:
    return MembershipGrant(
        merchant_id=merchant_id,
        id=ids.new("mgr"),
        member_id=member_id,
        source=source,
        source_key=source_key,
        paid=paid,
        seconds=days * clock.DAY_SECONDS,
        granted_at=now,
    )


async def append(session: AsyncSession, locked: dict[str, Membership], grants: Sequence[MembershipGrant]) -> None:
    """Write grants of members whose rows are locked, and the ends that follow from all they ever got."""
    if not grants:
        return
    members = sorted({grant.member_id for grant in grants})
    by_member = await grants_of(session, merchant_id=grants[0].merchant_id, member_ids=members)
    for grant in grants:
        by_member[grant.member_id].append(grant)
    for member_id in members:
        locked[member_id].ends_at = rules.ends_at(by_member[member_id])
    session.add_all(grants)
    await session.flush()


async def grants_of(
    session: AsyncSession, *, merchant_id: str, member_ids: Sequence[str]
) -> dict[str, list[MembershipGrant]]:
    statement = select(MembershipGrant).where(
        MembershipGrant.merchant_id == merchant_id, MembershipGrant.member_id.in_(member_ids)
    )
    found: dict[str, list[MembershipGrant]] = defaultdict(list)
    for grant in await session.scalars(statement):
        found[grant.member_id].append(grant)
    return found
