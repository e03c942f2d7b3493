"""What a layer comes down to: colours and pictures pressed through masks, one after another.

Knowing every stamp before it is pressed tells which rows of a poster differ from its template.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil
from typing import NamedTuple

from PIL import Image

from app.poster.colours import RGB

Box = tuple[int, int, int, int]
_RIM = 2


class Stamp(NamedTuple):
    """`ink`: a colour, or an RGB picture of the mask's size. Without a mask the picture covers what is below."""

    x: int
    y: int
    ink: RGB | Image.Image
    mask: Image.Image | None = None

    @property
    def size(self) -> tuple[int, int]:
        if self.mask is not None:
            return self.mask.size
        return self.ink.size if isinstance(self.ink, Image.Image) else (0, 0)

    @property
    def box(self) -> Box:
        width, height = self.size
        return self.x, self.y, self.x + width, self.y + height


def press(image: Image.Image, stamps: Iterable[Stamp], top: int = 0) -> None:
    """Onto an RGB picture that begins at row `top` of the canvas; what lies beside it is left out."""
    bottom = top + image.height
    for stamp in stamps:
        if stamp.y < bottom and stamp.y + stamp.size[1] > top:
            image.paste(stamp.ink, (stamp.x, stamp.y - top), stamp.mask)


def bounds(stamps: Sequence[Stamp]) -> Box:
    """The smallest box around all of them, empty for none."""
    lefts, tops, rights, bottoms = zip(*(stamp.box for stamp in stamps), strict=True) if stamps else ((0,),) * 4
    return min(lefts), min(tops), max(rights), max(bottoms)


def overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def flattened(stamps: Sequence[Stamp], box: Box) -> Image.Image:
    """RGBA picture of a box with the stamps on it."""
    sheet = Image.new("RGBA", (box[2] - box[0], box[3] - box[1]))
    for stamp in stamps:
        tile = Image.new("RGBA", stamp.size, stamp.ink if isinstance(stamp.ink, tuple) else (0, 0, 0, 0))
        if isinstance(stamp.ink, Image.Image):
            tile.paste(stamp.ink)
        tile.putalpha(stamp.mask or 255)
        sheet.alpha_composite(tile, (stamp.x - box[0], stamp.y - box[1]))
    return sheet


def merged(stamps: Sequence[Stamp]) -> list[Stamp]:
    """As few stamps that give the same, pixel for pixel: one is quicker to press than many.

    Those that lie on each other stay apart, for mixed beforehand they would be rounded otherwise.
    """
    groups: list[list[Stamp]] = []
    for stamp in stamps:
        if not groups or any(overlap(stamp.box, other.box) for other in groups[-1]):
            groups.append([])
        groups[-1].append(stamp)
    return [_as_one(group) if len(group) > 1 else group[0] for group in groups]


def _as_one(stamps: Sequence[Stamp]) -> Stamp:
    box = bounds(stamps)
    sheet = flattened(stamps, box)
    return Stamp(*box[:2], sheet.convert("RGB"), sheet.getchannel("A"))


def turned(stamps: Sequence[Stamp], layer_box: Box, degrees: float, opacity: float) -> list[Stamp]:
    """As one stamp, faded as a whole and turned clockwise around the middle of its layer's box."""
    if not stamps or (not degrees and opacity >= 1):
        return list(stamps)
    box = bounds(stamps)
    if degrees:
        box = _centred(box, layer_box)
    sheet = flattened(stamps, box)
    if degrees:
        flat = sheet.size
        sheet = sheet.rotate(-degrees, Image.Resampling.BICUBIC, expand=True)
        box = (box[0] - (sheet.width - flat[0]) // 2, box[1] - (sheet.height - flat[1]) // 2, 0, 0)
    mask = sheet.getchannel("A")
    return [Stamp(box[0], box[1], sheet.convert("RGB"), faded(mask, opacity))]


def _centred(box: Box, around: Box) -> Box:
    """`box` grown so that its middle is that of `around`, and a bare rim is left that its turned edges fade into."""
    across, down = around[0] + around[2], around[1] + around[3]
    half = ceil(max(across - 2 * box[0], 2 * box[2] - across) / 2) + _RIM
    high = ceil(max(down - 2 * box[1], 2 * box[3] - down) / 2) + _RIM
    return across // 2 - half, down // 2 - high, across - across // 2 + half, down - down // 2 + high


def faded(mask: Image.Image, opacity: float) -> Image.Image:
    return mask if opacity >= 1 else mask.point(lambda value: round(value * opacity))
