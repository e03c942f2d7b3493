"""Who has visited: the signed cookie, else a hash of address and agent salted by the day.

A first visit has no cookie yet and counts under the hash. The cookie it gets carries both a random name and that hash
with its day: later visits of the same day count under the hash again, those of later days under the name. So nobody
counts twice for having taken the cookie, and people behind one address are told apart from the second day on.

A cookie is `name hash day.signature` without the spaces, each in base 64. Hashed and signed by BLAKE2 of a secret and
the text: unlike SHA-2 it needs no HMAC around it, since nobody can go on from a digest. In BLAKE2's own keyed mode the
secret takes up a whole block, which is half of the work.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import secrets

from msgspec import Struct

COOKIE = "ivt_v"
COOKIE_SECONDS = 180 * 86_400
# All multiples of 3, so that base 64 needs no padding, which cookies quote, and can be cut between the parts.
_BYTES = 12
_DAY_BYTES = 6
_SIGNATURE_BYTES = 18
_RANDOM_BYTES = 340 * _BYTES
_URLSAFE = bytes.maketrans(b"+/", b"-_")
_NAME, _HASH = slice(0, 16), slice(16, 32)
_DAY = slice(32, None)


class Visitor(Struct, frozen=True, gc=False):
    """`counted` is how this visit counts; `cookie` is what to set, None where the one that came is good."""

    counted: str
    cookie: str | None


class Visitors:
    def __init__(self, secret: bytes) -> None:
        self._first, self._named, self._signed = (
            hashlib.blake2b(
                hashlib.blake2b(secret, digest_size=32, person=b"visitor " + use).digest(), digest_size=size
            )
            for use, size in ((b"first", _BYTES), (b"named", _BYTES), (b"signed", _SIGNATURE_BYTES))
        )
        self._names, self._used = "", 0
        self._day, self._day_text, self._today = -1, "", self._first

    def recognise(self, *, cookie: str | None, address: str, user_agent: str, day: int) -> Visitor:
        if day != self._day:
            self._begin(day)
        known = self._read(cookie) if cookie else None
        if known is not None:
            return Visitor(known[_HASH] if known[_DAY] == self._day_text else known[_NAME], None)
        first = _keyed(self._today, f"{address}\0{user_agent}".encode("utf-8", "replace"))
        content = f"{self._name()}{first}{self._day_text}"
        return Visitor(first, f"{content}.{_keyed(self._signed, content.encode())}")

    def named(self, merchant_id: str, visitor_id: str) -> str:
        """A visitor whom the merchant's own server names."""
        return _keyed(self._named, f"{merchant_id}\0{visitor_id}".encode("utf-8", "replace"))

    def _begin(self, day: int) -> None:
        self._day, self._day_text = day, _text(day.to_bytes(_DAY_BYTES, "big"))
        self._today = self._first.copy()
        self._today.update(f"{day}\0".encode())

    def _read(self, cookie: str) -> str | None:
        content, _, signature = cookie.partition(".")
        if not (cookie.isascii() and hmac.compare_digest(signature, _keyed(self._signed, content.encode()))):
            return None
        return content

    def _name(self) -> str:
        """Random, asked of the system many at a time."""
        first = self._used
        if first == len(self._names):
            self._names, first = _text(secrets.token_bytes(_RANDOM_BYTES)), 0
        self._used = first + 16
        return self._names[first : self._used]


def _keyed(key: hashlib.blake2b, content: bytes) -> str:
    copy = key.copy()
    copy.update(content)
    return _text(copy.digest())


def _text(content: bytes) -> str:
    return binascii.b2a_base64(content, newline=False).translate(_URLSAFE).decode()
