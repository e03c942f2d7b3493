"""Who has visited: the signed cookie, else a hash of address and agent salted by the day.

A first visit has no cookie yet and counts under the hash. The cookie it gets carries both a random name and that hash
with its day: later visits of the same day count under the hash again, those of later days under the name. So nobody
counts twice for having taken the cookie, and people behind one address are told apart from the second day on.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass

from itsdangerous import BadSignature, Signer

COOKIE = "ivt_v"
COOKIE_SECONDS = 180 * 86_400
# Together a multiple of 3, so that base 64 needs no padding, which cookies quote.
_BYTES = 12
_DAY_BYTES = 6


@dataclass(frozen=True, slots=True)
class Visitor:
    """`counted` is how this visit counts; `cookie` is what to set, None where the one that came is good."""

    counted: str
    cookie: str | None


def recognise(secret: bytes, *, cookie: str | None, address: str, user_agent: str, day: int) -> Visitor:
    known = _read(secret, cookie) if cookie else None
    if known is not None:
        name, first_hash, first_day = known
        return Visitor(_text(first_hash if first_day == day else name), None)
    first_hash = _hash(secret, f"day {day}", address, user_agent)
    content = secrets.token_bytes(_BYTES) + first_hash + day.to_bytes(_DAY_BYTES, "big")
    return Visitor(_text(first_hash), _signer(secret).sign(_text(content)).decode())


def named(secret: bytes, merchant_id: bytes, visitor_id: str) -> str:
    """A visitor whom the merchant's own server names."""
    return _text(_hash(secret, "named", merchant_id.hex(), visitor_id))


def _read(secret: bytes, cookie: str) -> tuple[bytes, bytes, int] | None:
    try:
        content = base64.urlsafe_b64decode(_signer(secret).unsign(cookie.encode()))
    except (BadSignature, binascii.Error, UnicodeEncodeError):
        return None
    return content[:_BYTES], content[_BYTES : 2 * _BYTES], int.from_bytes(content[2 * _BYTES :], "big")


def _signer(secret: bytes) -> Signer:
    return Signer(secret, salt="invitree.visitor", digest_method=hashlib.sha256)


def _hash(secret: bytes, *parts: str) -> bytes:
    message = "\0".join(("visitor", *parts)).encode("utf-8", "replace")
    return hmac.digest(secret, message, "sha256")[:_BYTES]


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode()
