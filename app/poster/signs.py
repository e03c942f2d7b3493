"""Signs that are pictures: emoji from their bitmaps, and the star that stands where no font has a glyph."""

from __future__ import annotations

from functools import lru_cache
from math import cos, pi, sin
from typing import NamedTuple

from PIL import Image, ImageDraw

from app.poster import faces

# An emoji is drawn a little larger than a Chinese character and around the same middle, as phones do.
EMOJI_HEIGHT = 1.12
EMOJI_DROP = 0.17
STAR_WIDTH = 0.86
_BITMAP_HEIGHT = 128


class Sign(NamedTuple):
    """A picture and the mask it is pressed through."""

    ink: Image.Image
    mask: Image.Image


@lru_cache(maxsize=512)
def emoji(cluster: str, size: int) -> Sign:
    """An emoji sequence for text of `size` pixels; one that is unknown, in its parts."""
    # Without shaping only the first part is drawn: parts beside each other would name other people.
    drawn = cluster if faces.SHAPED else cluster[0]
    font = faces.font(faces.EMOJI, faces.EMOJI_SIZE)
    full = Image.new("RGBA", (max(1, round(font.getlength(drawn))), _BITMAP_HEIGHT))
    ImageDraw.Draw(full).text((0, 0), drawn, font=font, embedded_color=True)
    scale = size * EMOJI_HEIGHT / _BITMAP_HEIGHT
    sized = (max(1, round(full.width * scale)), max(1, round(_BITMAP_HEIGHT * scale)))
    small = full.resize(sized, Image.Resampling.BOX)
    return Sign(small.convert("RGB"), small.getchannel("A"))


@lru_cache(maxsize=64)
def star(size: int) -> Image.Image:
    """Mask of a four-pointed star in a square of `size` pixels."""
    fine, middle = size * 4, size * 2
    points = [
        (middle + radius * cos(i * pi / 4), middle + radius * sin(i * pi / 4))
        for i, radius in enumerate((0.40 * fine, 0.13 * fine) * 4)
    ]
    mask = Image.new("L", (fine, fine))
    ImageDraw.Draw(mask).polygon(points, fill=255)
    return mask.resize((size, size), Image.Resampling.BOX)
