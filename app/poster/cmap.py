"""Which characters a font file has a glyph for, read from its `cmap` table: Pillow does not tell."""

from __future__ import annotations

import struct
from pathlib import Path


def covered(path: Path) -> frozenset[int]:
    """The code points of a TrueType or OpenType file (formats 4 and 12, which every font of ours has)."""
    with path.open("rb") as file:
        count = struct.unpack(">4xH", file.read(6))[0]
        file.seek(12)
        tables = dict[bytes, int](struct.iter_unpack(">4s4xI4x", file.read(16 * count)))
        file.seek(tables[b"cmap"])
        table = file.read(1 << 20)
    records = struct.unpack_from(">2xH", table)[0]
    codes: set[int] = set()
    for _, _, offset in struct.iter_unpack(">HHI", table[4 : 4 + 8 * records]):
        form = struct.unpack_from(">H", table, offset)[0]
        if form == 12:
            codes |= _groups(table, offset)
        elif form == 4:
            codes |= _segments(table, offset)
    return frozenset(codes)


def _groups(table: bytes, offset: int) -> set[int]:
    count = struct.unpack_from(">12xI", table, offset)[0]
    groups = struct.iter_unpack(">III", table[offset + 16 : offset + 16 + 12 * count])
    return {code for first, last, _ in groups for code in range(first, last + 1)}


def _segments(table: bytes, offset: int) -> set[int]:
    count = struct.unpack_from(">6xH", table, offset)[0] // 2
    ends, starts, deltas, ranges = (
        struct.unpack_from(f">{count}H", table, offset + 14 + 2 * count * i + (2 if i else 0)) for i in range(4)
    )
    base = offset + 16 + 6 * count
    codes = set()
    for i, (first, last) in enumerate(zip(starts, ends, strict=True)):
        for code in range(first, min(last, 0xFFFE) + 1):
            if ranges[i]:
                at = base + 2 * i + ranges[i] + 2 * (code - first)
                glyph = struct.unpack_from(">H", table, at)[0]
            else:
                glyph = (code + deltas[i]) & 0xFFFF
            if glyph:
                codes.add(code)
    return codes
