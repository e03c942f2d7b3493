"""One lock a campaign's tree: whoever adds a node shares it, whoever moves a subtree has it alone."""

from __future__ import annotations

import struct

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit import crypto
from app.models.referrals import participant_numbers


async def number_under_shared_lock(session: AsyncSession, campaign_id: str) -> int:
    """A number for a node that is about to be added below another; that one's path stays as it is until the commit.

    Taken before any row is written: a signup that waited for this lock while a rival waited for its member row would
    deadlock with a move between the two.
    """
    lock = func.pg_advisory_xact_lock_shared(_key(campaign_id))
    row = (await session.execute(select(participant_numbers.next_value(), lock))).one()
    return int(row[0])


async def number(session: AsyncSession) -> int:
    return int((await session.execute(select(participant_numbers.next_value()))).scalar_one())


async def alone(session: AsyncSession, campaign_id: str) -> None:
    await session.execute(select(func.pg_advisory_xact_lock(_key(campaign_id))))


def _key(campaign_id: str) -> int:
    (key,) = struct.unpack(">q", crypto.fingerprint("invite_tree", campaign_id)[:8])
    return int(key)
