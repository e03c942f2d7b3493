"""Codes that prove a phone or an e-mail address: sent by a provider, kept hashed, few attempts, used once."""

from __future__ import annotations

from datetime import datetime, timedelta
from hmac import compare_digest

from sqlalchemy import case, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit import clock, crypto, people
from app.kit.errors import TooManyRequests, Unprocessable
from app.models import PhoneCode
from app.referrals.code_senders import SentCode as SentCode
from app.referrals.code_senders import deliver as deliver
from app.referrals.code_senders import sender_of
from app.settings import get_keyring, get_settings

LIFETIME = timedelta(minutes=10)
MAX_ATTEMPTS = 5
# Bounds what guessing can try, and what a stranger can make somebody's phone ring.
RESEND_AFTER = timedelta(seconds=60)
MAX_SENDS = 10
SENDS_FORGOTTEN_AFTER = timedelta(days=1)


def normalise_subject(phone_or_email: str) -> str:
    """The normal form of a phone number or an e-mail address; Unprocessable where it is neither."""
    try:
        return (
            people.normalise_email(phone_or_email) if "@" in phone_or_email else people.normalise_phone(phone_or_email)
        )
    except ValueError:
        detail = "Give a phone number such as 13812345678 or +8613812345678, or an e-mail address."
        raise Unprocessable("phone_invalid", detail) from None


async def send(
    session: AsyncSession, *, merchant_id: str, phone_or_email: str, purpose: str, now: datetime, livemode: bool = True
) -> SentCode:
    """A new code, which makes an earlier one of this purpose worthless. Hand the result to `deliver`.

    TooManyRequests `code_resend_too_soon` within a minute of real time of the last one, or after ten in a day.
    """
    to, code, sent_at = normalise_subject(phone_or_email), crypto.new_numeric_code(), clock.utcnow()
    index, expires_at = _index(to), now + LIFETIME
    row = {
        "merchant_id": merchant_id,
        "subject_index": index,
        "purpose": purpose,
        "code_hash": _hash(merchant_id, index, purpose, code),
        "attempts": 0,
        "sends": 1,
        "sent_at": sent_at,
        "expires_at": expires_at,
        "used_at": None,
    }
    rested = or_(PhoneCode.used_at.is_not(None), PhoneCode.sent_at <= sent_at - SENDS_FORGOTTEN_AFTER)
    changes = row | {"sends": case((rested, 1), else_=PhoneCode.sends + 1)}
    allowed = (PhoneCode.sent_at <= sent_at - RESEND_AFTER) & or_(rested, PhoneCode.sends < MAX_SENDS)
    # One statement, so that of two requests at once only one sends.
    statement = (
        insert(PhoneCode).values(row).on_conflict_do_update(constraint="pk_phone_codes", set_=changes, where=allowed)
    )
    if await session.scalar(statement.returning(PhoneCode.sends)) is None:
        raise TooManyRequests(
            "code_resend_too_soon",
            "A code was sent within the last minute, or ten within a day: use it, or wait.",
            retry_after=int(RESEND_AFTER.total_seconds()),
        )
    shown = not livemode or sender_of(get_settings()).shows_code
    return SentCode(to, code, expires_at, code if shown else None)


async def verify(
    session: AsyncSession, *, merchant_id: str, subject: str, purpose: str, code: str, now: datetime
) -> None:
    """Use a code up. Call it before anything is written: a wrong code is counted although the error is raised.

    Unprocessable `code_invalid` (wrong, used or never sent), `code_expired`, `code_attempts_exceeded`.
    """
    index = _index(normalise_subject(subject))
    row = await session.scalar(
        select(PhoneCode)
        .where(PhoneCode.merchant_id == merchant_id, PhoneCode.subject_index == index, PhoneCode.purpose == purpose)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if row is None or row.used_at is not None:
        raise Unprocessable("code_invalid", "No code is waiting to be used: ask for one.")
    if row.attempts >= MAX_ATTEMPTS:
        raise Unprocessable("code_attempts_exceeded", "Too many wrong codes: ask for a new one.")
    if row.expires_at <= now:
        raise Unprocessable("code_expired", "The code is older than 10 minutes: ask for a new one.")
    row.attempts += 1
    if not compare_digest(row.code_hash, _hash(merchant_id, index, purpose, code.strip())):
        await session.flush()
        raise Unprocessable("code_invalid", "This is not the code that was sent.", kept=True)
    row.used_at = now
    await session.flush()


def _index(subject: str) -> bytes:
    return get_keyring().blind_index("phone_code", subject)


def _hash(merchant_id: str, index: bytes, purpose: str, code: str) -> bytes:
    return get_keyring().secret_hash(f"phone_code\0{merchant_id}\0{index.hex()}\0{purpose}", code)
