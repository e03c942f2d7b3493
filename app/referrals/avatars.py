"""Pictures of members that merchants gave as an address: fetched by the worker, never while somebody waits.

The fetch itself stands between two transactions. A worker that dies in between lets its claim run out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import and_, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import AvatarFetch, Member
from app.referrals import assets

# After the n-th attempt wait so long; then the person stays without a picture until another address is given.
WAITS = tuple(timedelta(seconds=s) for s in (10, 60, 600, 3_600, 21_600))


@dataclass(frozen=True, slots=True)
class Claim:
    """`number` guards the outcome: a claim that ran out must not overwrite a later one."""

    merchant_id: str
    member_id: str
    url: str
    number: int


async def owe(session: AsyncSession, member: Member) -> None:
    """Fetch the member's picture from its address, in place of what was to be fetched before."""
    row = {"merchant_id": member.merchant_id, "member_id": member.id, "url": member.avatar_url}
    again = {"url": member.avatar_url, "attempts": 0, "due_at": func.now(), "error": None}
    key = ["merchant_id", "member_id"]
    await session.execute(insert(AvatarFetch).values(row).on_conflict_do_update(index_elements=key, set_=again))


async def drop(session: AsyncSession, member: Member) -> None:
    """A picture was chosen meanwhile: nothing is to be fetched."""
    await session.execute(delete(AvatarFetch).where(*_of(member.merchant_id, member.id)))


async def claim(session: AsyncSession, *, limit: int, seconds: int) -> list[Claim]:
    """Take what is due for `seconds`, the time in which it must be kept or given up. Runs as *system*.

    The merchants in turn, so that ten thousand pictures of one keep nobody else's waiting.
    """
    due = AvatarFetch.due_at <= func.now()
    turn = func.row_number().over(partition_by=AvatarFetch.merchant_id, order_by=AvatarFetch.due_at)
    ranked = select(AvatarFetch.merchant_id, AvatarFetch.member_id, turn.label("turn")).where(due).subquery()
    same = and_(ranked.c.merchant_id == AvatarFetch.merchant_id, ranked.c.member_id == AvatarFetch.member_id)
    # Again `due`: another worker may have taken the row since it was ranked.
    wanted = select(AvatarFetch).join(ranked, same).where(due).order_by(ranked.c.turn, AvatarFetch.due_at)
    locked = wanted.limit(limit).with_for_update(of=AvatarFetch, skip_locked=True)
    claims = []
    for row in (await session.scalars(locked)).all():
        row.attempts += 1
        row.due_at = func.now() + timedelta(seconds=seconds)
        claims.append(Claim(row.merchant_id, row.member_id, row.url, row.attempts))
    await session.flush()
    return claims


async def keep(session: AsyncSession, claim: Claim, *, content: bytes) -> None:
    """The picture, as `Renderer.normalise` made it, becomes the member's."""
    done = delete(AvatarFetch).where(*_still(claim)).returning(AvatarFetch.member_id)
    if await session.scalar(done) is None:
        return
    asset, _ = await assets.keep(session, merchant_id=claim.merchant_id, purpose="avatar", content=content)
    theirs = (Member.merchant_id == claim.merchant_id, Member.id == claim.member_id)
    await session.execute(update(Member).where(*theirs).values(avatar_asset_id=asset.id))


async def fail(session: AsyncSession, claim: Claim, *, error: str, final: bool) -> None:
    """Try again later, or give up: at once where it is `final`, else after the last wait."""
    again = not final and claim.number <= len(WAITS)
    values: dict[str, Any] = {"error": error[:300], "due_at": func.now() + WAITS[claim.number - 1] if again else None}
    await session.execute(update(AvatarFetch).where(*_still(claim)).values(values))


def _of(merchant_id: str, member_id: str) -> tuple[Any, Any]:
    return (AvatarFetch.merchant_id == merchant_id, AvatarFetch.member_id == member_id)


def _still(claim: Claim) -> tuple[Any, ...]:
    ours = (AvatarFetch.attempts == claim.number, AvatarFetch.url == claim.url, AvatarFetch.due_at.is_not(None))
    return (*_of(claim.merchant_id, claim.member_id), *ours)
