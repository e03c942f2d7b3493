"""What an uploaded picture says it is, read from its first bytes: nothing is decoded or allocated by what it claims."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

from app.kit.errors import Unprocessable

Format = Literal["JPEG", "PNG", "WEBP"]
_PLAIN_FRAMES = {0xC0, 0xC1, 0xC2}
_NO_LENGTH = {0x01, *range(0xD0, 0xD9)}
# No camera writes more segments before the pixels; a file made of empty ones would keep the loop busy for seconds.
_MOST_SEGMENTS = 2000
# Ten are usual in a progressive JPEG. Each may cost the decoder a pass over the whole picture, for a few bytes.
_START_OF_SCAN, _MOST_SCANS = b"\xff\xda", 100


@dataclass(frozen=True, slots=True)
class Header:
    format: Format
    width: int
    height: int
    animated: bool = False
    cmyk: bool = False


def read(data: bytes) -> Header:
    """Format and size in pixels; `picture_format_unsupported` or `picture_damaged` (422)."""
    try:
        if data.startswith(b"\xff\xd8\xff"):
            return _jpeg(data)
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            return _png(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp(data)
    except (struct.error, IndexError) as error:
        raise damaged() from error
    raise Unprocessable("picture_format_unsupported", "The picture must be a JPEG, PNG or WebP file.")


def damaged() -> Unprocessable:
    return Unprocessable("picture_damaged", "The picture is truncated or damaged and cannot be decoded.")


def _jpeg(data: bytes) -> Header:
    if data.count(_START_OF_SCAN) > _MOST_SCANS:
        raise damaged()
    at = 2
    for _ in range(_MOST_SEGMENTS):
        marker = data[at + 1]
        if data[at] != 0xFF or marker in (0xD9, 0xDA):
            break
        if marker in _PLAIN_FRAMES:
            height, width, channels = struct.unpack_from(">HHB", data, at + 5)
            return Header("JPEG", width, height, cmyk=channels == 4)
        if marker == 0xFF:
            at += 1
        elif marker in _NO_LENGTH:
            at += 2
        else:
            at += 2 + int(struct.unpack_from(">H", data, at + 2)[0])
    raise damaged()


def _png(data: bytes) -> Header:
    if data[12:16] != b"IHDR":
        raise damaged()
    width, height = struct.unpack_from(">II", data, 16)
    at = 8
    for _ in range(_MOST_SEGMENTS):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind in (b"IDAT", b"acTL"):
            return Header("PNG", width, height, animated=kind == b"acTL")
        at += 12 + length
    raise damaged()


def _webp(data: bytes) -> Header:
    chunk = data[12:16]
    if chunk == b"VP8X":
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
        return Header("WEBP", width, height, animated=bool(data[20] & 0x02))
    if chunk == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return Header("WEBP", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return Header("WEBP", width & 0x3FFF, height & 0x3FFF)
    raise damaged()
