"""Public ids (TypeIDs: a prefix and a UUIDv7 in Crockford's base 32) and invite codes."""

from __future__ import annotations

import os
import re
import secrets
import uuid
from collections.abc import Callable
from functools import lru_cache
from itertools import count, product
from random import getrandbits

from uuid_utils.compat import uuid7

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
# Every id of every row is written, every bound one read: by three characters at a time, and by Python's own base 32.
_TRIPLES = ["".join(triple) for triple in product(_ALPHABET, repeat=3)]
_AS_PYTHON = str.maketrans(_ALPHABET, "0123456789abcdefghijklmnopqrstuv")
_SHAPE = re.compile(r"[0-7][0-9a-hjkmnp-tv-z]{25}")
_LOW = (1 << 65) - 1
# What stands behind the milliseconds: version, their fraction in 12 bits (as RFC 9562 allows), and the variant.
_FRACTIONS = [(0x7000 | (rest << 12) // 1_000) << 64 | 0x2 << 62 for rest in range(1_000)]
# A TypeID's last three characters: by them ids of one millisecond count up. So neighbours can be guessed: an id names,
# and opens nothing.
_COUNT_BITS = 15
_MOST_COUNTED = (1 << _COUNT_BITS) - 1
_new, _set, _UNKNOWN = object.__new__, object.__setattr__, uuid.SafeUUID.unknown

INVITE_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
INVITE_LENGTH = 8


def encode(prefix: str, value: uuid.UUID) -> str:
    """`encode("cmp", uuid)` → `cmp_` and 26 characters."""
    bits, triples = value.int, _TRIPLES
    # 65 bits at a time, since shorter numbers are shifted faster.
    high, low = bits >> 65, bits & _LOW
    return (
        f"{prefix}_{triples[high >> 50]}{triples[high >> 35 & 32767]}{triples[high >> 20 & 32767]}"
        f"{triples[high >> 5 & 32767]}{_ALPHABET[high & 31]}{triples[low >> 50]}{triples[low >> 35 & 32767]}"
        f"{triples[low >> 20 & 32767]}{triples[low >> 5 & 32767]}{_ALPHABET[low & 31]}"
    )


# Of one order its own and its merchant's id are bound a dozen times.
@lru_cache(4_096)
def decode(prefix: str, text: str) -> uuid.UUID:
    """The UUID of a TypeID; ValueError unless it is well formed and has this prefix."""
    head, _, tail = text.rpartition("_")
    if head != prefix or not _SHAPE.fullmatch(tail):
        raise ValueError(f"not a {prefix}_ id: {text[:64]!r}")
    return uuid.UUID(int=int(tail.translate(_AS_PYTHON), 32))


class _Bursts:
    """UUIDv7s, of which those of a millisecond count up (RFC 9562, 6.2) behind a fraction of it and 47 random bits."""

    def __init__(self) -> None:
        self.begin_anew()

    def begin_anew(self) -> None:
        # Milliseconds, what their ids begin with, the next one's number: one whole, so that threads need no lock.
        self._burst: tuple[int, int, Callable[[], int]] = (-1, 0, count().__next__)

    def uuid7_at(self, now_us: int) -> uuid.UUID:
        """Of an instant in microseconds since 1970, in a fraction of a general one's time: every click has its own."""
        milliseconds, first, take = self._burst
        number = take()
        if now_us // 1_000 != milliseconds or number > _MOST_COUNTED:
            _, first, take = self._burst = _begin(now_us)
            number = take()
        value = _new(uuid.UUID)
        # Past the class, which forbids changes and checks what is given.
        _set(value, "int", first | number)
        _set(value, "is_safe", _UNKNOWN)
        return value


def _begin(now_us: int) -> tuple[int, int, Callable[[], int]]:
    milliseconds, rest = divmod(now_us, 1_000)
    random = getrandbits(62 - _COUNT_BITS) << _COUNT_BITS
    return milliseconds, milliseconds << 80 | _FRACTIONS[rest] | random, count().__next__


_bursts = _Bursts()
uuid7_at = _bursts.uuid7_at
# What a parent has begun goes on there alone.
os.register_at_fork(after_in_child=_bursts.begin_anew)


def encode_in_turn(prefix: str, value: uuid.UUID) -> str:
    """As `encode`, for ids of `uuid7_at`: all but the end is the same for those of one millisecond."""
    bits = value.int
    return _beginning(prefix, bits >> _COUNT_BITS) + _TRIPLES[bits & _MOST_COUNTED]


@lru_cache(64)
def _beginning(prefix: str, bits: int) -> str:
    return encode(prefix, uuid.UUID(int=bits << _COUNT_BITS))[:-3]


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
