"""QR symbols as modules, without drawing them.

With version, level, mask and length fixed, a symbol is affine over GF(2): that of a link is the one of a base XOR one
entry of a table for each character of the invite code. An entry costs a look-up, an encoder a thousand times that.
"""

from __future__ import annotations

from functools import lru_cache
from math import isqrt
from typing import NamedTuple

import zxingcpp
from PIL import Image

from app.kit.errors import Unprocessable
from app.kit.links import LONGEST as LONGEST_LINK
from app.poster.document import Level

ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
# Digits might be packed apart by an encoder, letters never are.
_PLAIN = "a"
_LONGEST_CODE = 16


class Symbol(NamedTuple):
    """`rows`: one bit a module, 1 = dark, every row filled up to whole bytes."""

    side: int
    rows: bytes

    def picture(self) -> Image.Image:
        """One pixel a module, 0 = dark."""
        return Image.frombytes("1", (self.side, self.side), self.rows, "raw", "1;I").convert("L")


def symbol(link: str, code: str = "", level: Level = "M") -> Symbol:
    """The symbol of a link, quickly where it holds an invite code; Unprocessable `invite_url_unfit`."""
    if len(link) > LONGEST_LINK or not link.isascii() or not link.isprintable() or not link:
        raise Unprocessable("invite_url_unfit", f"A poster's link has 1 to {LONGEST_LINK} ASCII characters.")
    prefix, found, suffix = link.rpartition(code) if code else (link, "", "")
    if not found or len(code) > _LONGEST_CODE or not set(code) <= _KNOWN:
        return encode(link, level)
    return _family(prefix, suffix, len(code), level).member(code)


_KNOWN = frozenset(ALPHABET)


def encode(link: str, level: Level, **options: int) -> Symbol:
    """By the library: 0.1 ms with `version` and `data_mask` given, three times that without."""
    barcode = zxingcpp.create_barcode(link, zxingcpp.BarcodeFormat.QRCode, ec_level=level, **options)
    view = memoryview(barcode.to_image(scale=1, add_quiet_zones=False))  # type: ignore[arg-type]  # its stub forgets it
    side = isqrt(view.nbytes)
    picture = Image.frombytes("L", (side, side), view.tobytes()).convert("1", dither=Image.Dither.NONE)
    return Symbol(side, picture.tobytes("raw", "1;I"))


class Family(NamedTuple):
    """The symbols of all links that differ in their code only."""

    side: int
    base: int
    table: tuple[dict[str, int], ...]

    def member(self, code: str) -> Symbol:
        bits = self.base
        for entries, character in zip(self.table, code, strict=True):
            bits ^= entries[character]
        return Symbol(self.side, bits.to_bytes(self.side * ((self.side + 7) // 8), "big"))


# 60 kB each. A server has one address for links, and one length of codes; a second level where templates have logos.
@lru_cache(maxsize=16)
def _family(prefix: str, suffix: str, length: int, level: Level) -> Family:
    return family(prefix, suffix, length, level)


def family(prefix: str, suffix: str, length: int, level: Level) -> Family:
    """The table of a link's shape, from one encoding for each character and place."""
    plain = _PLAIN * length
    side = encode(f"{prefix}{plain}{suffix}", level).side
    fixed = {"version": (side - 17) // 4, "data_mask": MASK}

    def bits(code: str) -> int:
        return int.from_bytes(encode(f"{prefix}{code}{suffix}", level, **fixed).rows, "big")

    base = bits(plain)
    table = tuple(
        {character: bits(f"{plain[:at]}{character}{plain[at + 1 :]}") ^ base for character in ALPHABET}
        for at in range(length)
    )
    return Family(side, base, table)


# Any of the eight is read; this one leaves neither stripes nor large blank fields.
MASK = 3
