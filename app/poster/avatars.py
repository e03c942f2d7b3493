"""A person's picture, or what stands for it."""

from __future__ import annotations

import hashlib
from functools import lru_cache

from PIL import Image, ImageDraw

from app.kit.errors import InvitreeError
from app.poster import paint, pictures, text
from app.poster.document import AvatarLayer
from app.poster.stamps import Stamp

# White letters read on each of them (contrast 4 or better).
_GROUNDS = ("#C2410C", "#B45309", "#4D7C0F", "#0F766E", "#0369A1", "#4F46E5", "#9333EA", "#BE185D")
KEPT_SIDE = pictures.AVATAR_SIDE
_RADIUS = {"round": 0.5, "rounded": 0.2, "square": 0.0}


def frame(layer: AvatarLayer) -> list[Stamp]:
    """What is the same for everybody: the border."""
    if not layer.border:
        return []
    return [paint.inked(layer.border.colour, (layer.x, layer.y), _mask(layer.size, layer.shape))]


def portrait(layer: AvatarLayer, data: bytes | None, nickname: str) -> list[Stamp]:
    """The picture; what cannot be decoded is replaced by the fallback, for a poster always comes."""
    line = layer.border.width if layer.border else 0
    side = layer.size - 2 * line
    return [Stamp(layer.x + line, layer.y + line, _portrait(data, nickname, side), _mask(side, layer.shape))]


def _portrait(data: bytes | None, nickname: str, side: int) -> Image.Image:
    if data:
        try:
            return _decoded(data, side) if side <= KEPT_SIDE else pictures.square(data, side)
        except InvitreeError:
            return fallback(nickname, side)
    return fallback(nickname, side)


# At most 256 kB each, and what was uploaded for it.
@lru_cache(maxsize=96)
def _decoded(data: bytes, side: int) -> Image.Image:
    return pictures.square(data, side)


@lru_cache(maxsize=32)
def _mask(side: int, shape: str) -> Image.Image:
    return paint.outline("rect", (side, side), radius=round(side * _RADIUS[shape]))


def fallback(nickname: str, side: int) -> Image.Image:
    """A coloured square with the nickname's first character, or a figure where there is none to draw."""
    first = text.letters(nickname, text.Style(round(side * 0.46), True, (255, 255, 255, 255)))[:1]
    ground = _GROUNDS[hashlib.sha256(nickname.encode("utf-8", "ignore")).digest()[0] % len(_GROUNDS)]
    image = Image.new("RGB", (side, side), ground)
    if not first or text.has_missing(first):
        _figure(image)
    else:
        text.draw(image, first, (side - text.width(first)) / 2, side * 0.665)
    return image


def _figure(image: Image.Image) -> None:
    side = image.width
    mask = Image.new("L", (side * 4, side * 4))
    pen = ImageDraw.Draw(mask)
    pen.ellipse([side * 4 * v for v in (0.34, 0.22, 0.66, 0.54)], fill=235)
    pen.ellipse([side * 4 * v for v in (0.18, 0.62, 0.82, 1.26)], fill=235)
    image.paste((255, 255, 255), (0, 0), mask.resize(image.size, Image.Resampling.BOX))
