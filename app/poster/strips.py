"""Which rows of a poster differ from its template, in units of what a JPEG encodes at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

from PIL import Image

from app.poster.stamps import Stamp

# Pixels: an MCU row where colour is halved in both directions.
ROW = 16


Run = tuple[int, int]


class Strips(NamedTuple):
    """The rows of `runs` (`first` and `last`, not included, in units of ROW) below each other, painted."""

    runs: tuple[Run, ...]
    image: Image.Image

    def apart(self) -> Iterator[tuple[int, int, Image.Image]]:
        """First, last and picture of each run."""
        top = 0
        for first, last in self.runs:
            bottom = min(top + (last - first) * ROW, self.image.height)
            yield first, last, self.image.crop((0, top, self.image.width, bottom))
            top = bottom


def count(height: int) -> int:
    return -(-height // ROW)


def changed(stamps: Iterable[Stamp], size: tuple[int, int]) -> tuple[Run, ...]:
    """Runs of rows that the stamps touch, from top to bottom; no stamp touches two of them."""
    runs: list[Run] = []
    for first, last in sorted(_touched(stamps, size)):
        if runs and first <= runs[-1][1]:
            runs[-1] = (runs[-1][0], max(last, runs[-1][1]))
        else:
            runs.append((first, last))
    return tuple(runs)


def _touched(stamps: Iterable[Stamp], size: tuple[int, int]) -> Iterator[Run]:
    width, height = size
    for stamp in stamps:
        left, top, right, bottom = stamp.box
        if right > 0 and left < width and bottom > 0 and top < height:
            yield max(top, 0) // ROW, count(min(bottom, height))


def sheet(base: Image.Image, runs: Sequence[Run]) -> Image.Image:
    """The rows of `runs`, as they are before anything is painted on them."""
    pieces = [base.crop((0, first * ROW, base.width, min(last * ROW, base.height))) for first, last in runs]
    image = Image.new("RGB", (base.width, sum(piece.height for piece in pieces)))
    top = 0
    for piece in pieces:
        image.paste(piece, (0, top))
        top += piece.height
    return image


def painted(sheet: Image.Image, stamps: Iterable[Stamp], runs: tuple[Run, ...]) -> Strips:
    """`stamps` on a copy of the sheet of their runs."""
    image = sheet.copy()
    firsts = [first for first, _ in runs]
    heights = accumulate((last - first for first, last in runs), initial=0)
    shifts = [(first - above) * ROW for first, above in zip(firsts, heights, strict=False)]
    for stamp in stamps:
        at = bisect_right(firsts, max(stamp.y, 0) // ROW) - 1
        # One beside the canvas belongs to no run, and is seen in none.
        if at >= 0 and stamp.y < runs[at][1] * ROW:
            image.paste(stamp.ink, (stamp.x, stamp.y - shifts[at]), stamp.mask)
    return Strips(runs, image)
