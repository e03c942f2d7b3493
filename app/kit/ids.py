"""Public ids (TypeIDs: a prefix and a UUIDv7 in Crockford's base 32) and invite codes."""

from __future__ import annotations

import re
import secrets
import uuid
from itertools import product

from uuid_utils.compat import uuid7

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
# Every id of every row is written, every bound one read: by three characters at a time, and by Python's own base 32.
_TRIPLES = ["".join(triple) for triple in product(_ALPHABET, repeat=3)]
_AS_PYTHON = str.maketrans(_ALPHABET, "0123456789abcdefghijklmnopqrstuv")
_SHAPE = re.compile(r"[0-7][0-9a-hjkmnp-tv-z]{25}")
_LOW = (1 << 65) - 1

INVITE_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
INVITE_LENGTH = 8


def encode(prefix: str, value: uuid.UUID) -> str:
    """`encode("cmp", uuid)` → `cmp_` and 26 characters."""
    return f"{prefix}_{_half(value.int >> 65)}{_half(value.int & _LOW)}"


def _half(bits: int) -> str:
    """65 bits as 13 characters."""
    triples = _TRIPLES
    return (
        f"{triples[bits >> 50]}{triples[bits >> 35 & 32767]}{triples[bits >> 20 & 32767]}"
        f"{triples[bits >> 5 & 32767]}{_ALPHABET[bits & 31]}"
    )


def decode(prefix: str, text: str) -> uuid.UUID:
    """The UUID of a TypeID; ValueError unless it is well formed and has this prefix."""
    head, _, tail = text.rpartition("_")
    if head != prefix or not _SHAPE.fullmatch(tail):
        raise ValueError(f"not a {prefix}_ id: {text[:64]!r}")
    return uuid.UUID(int=int(tail.translate(_AS_PYTHON), 32))


def new(prefix: str) -> str:
    """A new id; ids made later sort later, which lists and indexes rely on."""
    return encode(prefix, uuid7())


def new_invite_code() -> str:
    return "".join(secrets.choice(INVITE_ALPHABET) for _ in range(INVITE_LENGTH))


def normalise_invite_code(text: str) -> str | None:
    """The code in lower case, or None where it cannot be one."""
    code = text.strip().lower()
    if len(code) != INVITE_LENGTH or not set(code) <= set(INVITE_ALPHABET):
        return None
    return code
