"""Which rows of a poster differ from its template, in units of what a JPEG encodes at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from PIL import Image

from app.poster.stamps import Stamp, press

# Pixels: an MCU row where colour is halved in both directions.
ROW = 16
# Encoding these along costs less than beginning anew behind them.
_NEGLIGIBLE = 1


class Strip(NamedTuple):
    """Rows `first` to `last` (not included) of the canvas, in units of ROW, painted."""

    first: int
    last: int
    image: Image.Image


def count(height: int) -> int:
    return -(-height // ROW)


def changed(stamps: Iterable[Stamp], size: tuple[int, int]) -> list[tuple[int, int]]:
    """Runs of rows that the stamps touch, from top to bottom, as `first` and `last` (not included)."""
    runs: list[tuple[int, int]] = []
    for first, last in sorted(_touched(stamps, size)):
        if runs and first <= runs[-1][1] + _NEGLIGIBLE:
            runs[-1] = (runs[-1][0], max(last, runs[-1][1]))
        else:
            runs.append((first, last))
    return runs


def _touched(stamps: Iterable[Stamp], size: tuple[int, int]) -> Iterator[tuple[int, int]]:
    width, height = size
    for stamp in stamps:
        left, top, right, bottom = stamp.box
        if right > 0 and left < width and bottom > 0 and top < height:
            yield max(top, 0) // ROW, count(min(bottom, height))


def painted(base: Image.Image, stamps: list[Stamp], runs: Iterable[tuple[int, int]]) -> list[Strip]:
    strips = []
    for first, last in runs:
        image = base.crop((0, first * ROW, base.width, min(last * ROW, base.height)))
        press(image, stamps, first * ROW)
        strips.append(Strip(first, last, image))
    return strips
