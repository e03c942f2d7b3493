"""PNG of which only the changed rows are compressed.

A band of rows is deflated by itself up to a byte's end (a full flush), and its first row is filtered without the row
above, so that bands can be joined; the checksum of the whole is put together from theirs.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable
from typing import NamedTuple

from isal import isal_zlib
from PIL import Image, ImageChops

from app.poster.strips import ROW, Strips, count

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_STREAM_HEAD, _LAST_BLOCK = b"\x78\x9c", b"\x03\x00"
_LEFT, _UP = b"\x01", b"\x02"  # filters: less what is left of it, less what is above
_ADLER = 65521


def encode(image: Image.Image) -> bytes:
    """All of it, at the level that everybody uses."""
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=6)
    return out.getvalue()


class Band(NamedTuple):
    """`chunk`: ready to be put into the file; `adler` and `length` of what is compressed in it."""

    chunk: bytes
    adler: int
    length: int


class Bands:
    """A picture's bands, compressed, for posters that differ from it in strips."""

    def __init__(self, image: Image.Image) -> None:
        header = struct.pack(">IIBBBBB", *image.size, 8, 2, 0, 0, 0)
        self._head = _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", _STREAM_HEAD)
        tops = [row * ROW for row in range(count(image.height))]
        self._bands = [_small(image.crop((0, top, image.width, min(top + ROW, image.height)))) for top in tops]

    @property
    def size(self) -> int:
        return sum(len(band.chunk) for band in self._bands)

    def splice(self, strips: Strips) -> bytes:
        """Pixel for pixel the picture with the strips in it."""
        bands: list[Band] = []
        at = 0
        for first, last, image in strips.apart():
            bands += self._bands[at:first]
            bands.append(_fast(image))
            at = last
        bands += self._bands[at:]
        adler = struct.pack(">I", _joined(bands))
        tail = _chunk(b"IDAT", _LAST_BLOCK + adler) + _chunk(b"IEND", b"")
        return b"".join([self._head, *(band.chunk for band in bands), tail])


def _small(image: Image.Image) -> Band:
    rows = filtered(image)
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
    return _band(rows, deflate.compress(rows) + deflate.flush(zlib.Z_FULL_FLUSH))


def _fast(image: Image.Image) -> Band:
    rows = filtered(image)
    deflate = isal_zlib.compressobj(1, isal_zlib.DEFLATED, -15)
    return _band(rows, deflate.compress(rows) + deflate.flush(isal_zlib.Z_FULL_FLUSH))


def _band(rows: bytearray, compressed: bytes) -> Band:
    return Band(_chunk(b"IDAT", compressed), isal_zlib.adler32(rows), len(rows))


def filtered(image: Image.Image) -> bytearray:
    """The rows of an RGB picture with their filters before them."""
    width, height = image.size
    before = ImageChops.offset(image, 0, 1)
    before.paste(image.crop((0, 0, width - 1, 1)), (1, 0))
    before.paste((0, 0, 0), (0, 0, 1, 1))
    stride = 3 * width + 1
    # One byte is left free behind each row, which is the place of the next one's filter.
    rows = bytearray(_LEFT)
    rows += ImageChops.subtract_modulo(image, before).tobytes("raw", "RGB", stride)
    rows[stride::stride] = _UP * height
    del rows[-1]
    return rows


def _joined(bands: Iterable[Band]) -> int:
    """Adler-32 of everything, from that of the parts."""
    low, high = 1, 0
    for _, adler, length in bands:
        high += adler >> 16
        high += length % _ADLER * (low - 1)
        low += (adler & 0xFFFF) - 1
    return high % _ADLER << 16 | low % _ADLER


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
