"""Proof of a merchant's phone or e-mail address, upon which the days of its invite are granted to both sides."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import audit
from app.kit.errors import Conflict
from app.merchants import accounts, house
from app.models import Merchant, Participant
from app.referrals import phone_codes
from app.referrals.phone_codes import SentCode
from app.rewards import service as rewards

PURPOSE = "merchant"


async def resend(session: AsyncSession, *, merchant_id: str, now: datetime) -> SentCode:
    """A new code. Conflict `merchant_verified` where none is needed; TooManyRequests `code_resend_too_soon`."""
    live = (await accounts.get(session, merchant_id=merchant_id)).live
    if live.verified_at is not None:
        raise Conflict("merchant_verified", "The merchant is verified already.")
    return await send_code(session, live=live, now=now)


async def send_code(session: AsyncSession, *, live: Merchant, now: datetime) -> SentCode:
    return await phone_codes.send(session, merchant_id=live.id, phone_or_email=_contact(live), purpose=PURPOSE, now=now)


async def verify(session: AsyncSession, *, merchant_id: str, code: str, actor: str, now: datetime) -> None:
    """As *system*, with the key of either twin. Once verified, any further call changes nothing.

    Unprocessable `code_invalid`, `code_expired`, `code_attempts_exceeded`.
    """
    live = await _lock(session, merchant_id)
    if live.verified_at is None:
        await phone_codes.verify(
            session, merchant_id=live.id, subject=_contact(live), purpose=PURPOSE, code=code, now=now
        )
        await _confirm(session, live, actor, now)


async def vouch(session: AsyncSession, *, merchant_id: str, actor: str, now: datetime) -> None:
    """Verified on the word of the platform's operator, without a code."""
    live = await _lock(session, merchant_id)
    if live.verified_at is None:
        await _confirm(session, live, actor, now)


async def _lock(session: AsyncSession, merchant_id: str) -> Merchant:
    """The live row, as it stands now: of two who verify at once, the second finds it done."""
    live = (await accounts.get(session, merchant_id=merchant_id)).live
    await session.refresh(live, with_for_update=True)
    return live


async def _confirm(session: AsyncSession, live: Merchant, actor: str, now: datetime) -> None:
    both = Merchant.id.in_([live.id, live.twin_id])
    await session.execute(update(Merchant).where(both).values(verified_at=now))
    audit.record(session, merchant_id=live.id, actor=actor, action="merchant.verified", subject_id=live.id)
    house_id = await house.ensure(session, now=now)
    mine = select(Participant).where(Participant.merchant_id == house_id, Participant.id == live.house_participant_id)
    invitees = (await session.scalars(mine)).all()
    await rewards.ripen(session, merchant_id=house_id, trigger="phone_verified", invitees=invitees, now=now)
    await session.flush()


def _contact(live: Merchant) -> str:
    """A live merchant has one or the other since its registration."""
    return live.phone or live.email or ""
