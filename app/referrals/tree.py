"""The invite tree, read and moved by the path column: never by recursion."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Select, and_, any_, bindparam, case, func, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import BigInteger

from app.db.pages import Page, PageQuery, fetch_page
from app.models import Participant
from app.models.referrals import PATH_INDEXED
from app.referrals import rules

# Made once: putting it together took a third of the call.
_ANCESTORS = (
    select(Participant)
    .where(
        Participant.merchant_id == bindparam("merchant_id"),
        Participant.campaign_id == bindparam("campaign_id"),
        Participant.number == any_(bindparam("above", type_=ARRAY(BigInteger))),
    )
    .order_by(Participant.depth.desc())
)


async def ancestors(session: AsyncSession, *, merchant_id: str, participant: Participant) -> list[Participant]:
    """Nearest first, up to the root."""
    if not participant.depth:
        return []
    above = rules.numbers(participant.path)[:-1]
    places = {"merchant_id": merchant_id, "campaign_id": participant.campaign_id, "above": above}
    return list(await session.scalars(_ANCESTORS, places))


async def invitees(
    session: AsyncSession, *, merchant_id: str, participant: Participant, level: int | None, query: PageQuery
) -> Page[Participant]:
    """Newest first. `level` 1 are the direct ones, None all at any depth."""
    return await fetch_page(session, _invitees(merchant_id, participant, level), query)


async def level_counts(session: AsyncSession, *, merchant_id: str, participant: Participant) -> dict[int, int]:
    """How many invitees there are at each level below, nearest first."""
    statement = (
        select(Participant.depth - participant.depth, func.count())
        .where(_below(merchant_id, participant))
        .group_by(Participant.depth)
        .order_by(Participant.depth)
    )
    return {row[0]: row[1] for row in await session.execute(statement)}


def _invitees(merchant_id: str, participant: Participant, level: int | None) -> Select[tuple[Participant]]:
    if level == 1:
        direct = and_(Participant.merchant_id == merchant_id, Participant.inviter_id == participant.id)
        return select(Participant).where(direct)
    below = select(Participant).where(_below(merchant_id, participant))
    return below if level is None else below.where(Participant.depth == participant.depth + level)


def _below(merchant_id: str, participant: Participant) -> ColumnElement[bool]:
    """By depth and not by id: the index holds it, so that counting need not read the rows."""
    return and_(_subtree(merchant_id, participant), Participant.depth > participant.depth)


def _subtree(merchant_id: str, root: Participant) -> ColumnElement[bool]:
    """The root and all below it: a range of the index, and a filter where the path is longer than what is indexed."""
    path, indexed, end = root.path, Participant.path_head, rules.end_of_prefix(root.path)
    if len(path) <= PATH_INDEXED:
        within = [indexed >= path, indexed < end]
    else:
        within = [indexed == path[:PATH_INDEXED], Participant.path >= path, Participant.path < end]
    return and_(Participant.merchant_id == merchant_id, Participant.campaign_id == root.campaign_id, *within)


async def move(session: AsyncSession, *, participant: Participant, inviter: Participant) -> None:
    """Hang a node with everything below it under another. The campaign's lock is held alone, no cycle would come."""
    is_node, is_child = Participant.id == participant.id, Participant.inviter_id == participant.id
    first, second = (literal(inviter_id, Participant.id.type) for inviter_id in (inviter.id, inviter.inviter_id))
    new_path = inviter.path + rules.segment(participant.number)
    statement = (
        update(Participant)
        .where(_subtree(participant.merchant_id, participant))
        .values(
            path=func.concat(new_path, func.substr(Participant.path, len(participant.path) + 1)),
            depth=Participant.depth + (inviter.depth + 1 - participant.depth),
            inviter_id=case((is_node, first), else_=Participant.inviter_id),
            second_inviter_id=case((is_node, second), (is_child, first), else_=Participant.second_inviter_id),
        )
    )
    await session.execute(statement, execution_options={"synchronize_session": False})
