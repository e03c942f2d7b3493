"""Baseline JPEG of which only the changed rows are encoded.

Every MCU row ends in a restart marker, so that no row needs another: a strip that is encoded by itself, its markers
renumbered, is byte for byte what it would be within the whole.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

from PIL import Image

from app.poster.strips import Strips

# The standard tables (no `optimize`): those of a strip would be others than those of the whole.
_OPTIONS = {"subsampling": 2, "restart_marker_rows": 1}
_MARKERS = [bytes((0xFF, 0xD0 + i)) for i in range(8)]
_SCAN, _END = 0xDA, b"\xff\xd9"


def encode(image: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality, **_OPTIONS)
    return out.getvalue()


class Rows:
    """A picture's rows, encoded, for posters that differ from it in strips."""

    def __init__(self, image: Image.Image, quality: int) -> None:
        self.quality = quality
        data = encode(image, quality)
        scan = _scan_start(data)
        self.size = len(data)
        self._head = data[:scan]
        # A strip's head is as long: it differs in its height alone.
        self._marked = [row + _MARKERS[i % 8] for i, row in enumerate(_rows(data, scan))]

    def splice(self, strips: Strips) -> bytes:
        """Byte for byte what encoding the whole picture gives."""
        data = encode(strips.image, self.quality)
        own = _rows(data, len(self._head))
        parts, at = [self._head], 0
        for first, last in strips.runs:
            parts += self._marked[at:first]
            parts += [next(own) + _MARKERS[i % 8] for i in range(first, last)]
            at = last
        parts += self._marked[at:]
        parts[-1] = parts[-1][: -len(_MARKERS[0])]
        return b"".join([*parts, _END])


def _rows(data: bytes, at: int) -> Iterator[bytes]:
    """Those behind `at`, without their markers, which come in turn; within a row no byte 0xFF is left by itself."""
    number = 0
    while (end := data.find(_MARKERS[number % 8], at)) >= 0:
        yield data[at:end]
        at, number = end + 2, number + 1
    yield data[at : -len(_END)]


def _scan_start(data: bytes) -> int:
    """Where the first row's bytes begin."""
    at = 2
    while True:
        marker, length = data[at + 1], int(struct.unpack_from(">H", data, at + 2)[0])
        at += 2 + length
        if marker == _SCAN:
            return at
