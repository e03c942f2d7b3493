"""What changed about campaigns, told to every process in the transaction that changes it."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from app.db import listen

CHANNEL = "invitree_campaigns"


async def changed(session: AsyncSession, subject_id: str) -> None:
    """A campaign by its id; by a merchant's all of theirs. What the clock alone changes needs no word: dates do."""
    await listen.announce(session, CHANNEL, subject_id)
