"""Public ids (TypeIDs: a prefix and a UUIDv7 in Crockford's base 32) and invite codes."""

from __future__ import annotations

import secrets
import uuid

from uuid_utils.compat import uuid7

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUE = {character: value for value, character in enumerate(_ALPHABET)}
_LENGTH = 26

INVITE_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
INVITE_LENGTH = 8


def encode(prefix: str, value: uuid.UUID) -> str:
    """`encode("cmp", uuid)` → `cmp_` and 26 characters."""
    number = value.int
    characters = [_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5)]
    return f"{prefix}_{''.join(characters)}"


def decode(prefix: str, text: str) -> uuid.UUID:
    """The UUID of a TypeID; ValueError unless it is well formed and has this prefix."""
    head, _, tail = text.rpartition("_")
    if head != prefix or len(tail) != _LENGTH or tail[0] > "7":
        raise ValueError(f"not a {prefix}_ id: {text[:64]!r}")
    number = 0
    for character in tail:
        value = _VALUE.get(character)
        if value is None:
            raise ValueError(f"not a {prefix}_ id: {text[:64]!r}")
        number = number << 5 | value
    return uuid.UUID(int=number)


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
