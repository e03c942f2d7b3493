"""What a campaign's posters share, painted once a process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageOps

from app.poster import layout, paint, pictures
from app.poster.document import (
    PERSONAL,
    PLACEHOLDERS,
    AvatarLayer,
    Document,
    ImageLayer,
    Layer,
    QrLayer,
    ShapeLayer,
    TextLayer,
)
from app.poster.template import Template


@dataclass(frozen=True, slots=True)
class Baked:
    """The picture below, and the layers that are still to be painted, in order."""

    base: Image.Image
    layers: tuple[Layer, ...]


# 3 MB (750 × 1334) to 6 MB each; a process serves few campaigns at a time.
@lru_cache(maxsize=12)
def bake(template: Template, shared: frozenset[tuple[str, str]]) -> Baked:
    """`shared`: the values that are the same for everybody."""
    ground = _bake_ground(template)
    return _settle(ground.base.copy(), ground.layers, template.assets, dict(shared), waits_for=PERSONAL)


# Glows and shadows take most of the time, and they are the same in all campaigns of a template.
@lru_cache(maxsize=8)
def _bake_ground(template: Template) -> Baked:
    base = _ground(template.document, template.assets)
    return _settle(base, template.document.layers, template.assets, {}, waits_for=PLACEHOLDERS)


def _settle(
    base: Image.Image,
    layers: tuple[Layer, ...],
    assets: Mapping[str, bytes],
    values: Mapping[str, str],
    *,
    waits_for: frozenset[str],
) -> Baked:
    """Paint what needs none of `waits_for`; it is left over, and so is every layer that lies on something left over."""
    left: list[Layer] = []
    for layer in layers:
        waiting = isinstance(layer, AvatarLayer | QrLayer) or bool(layout.needs(layer) & waits_for)
        if waiting or any(_overlap(layout.box(layer), layout.box(below)) for below in left):
            left.append(layer)
        elif layout.is_shown(layer, values):
            paint_static(base, layer, assets, values)
    return Baked(base, tuple(left))


def _overlap(one: layout.Box, other: layout.Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _ground(document: Document, assets: Mapping[str, bytes]) -> Image.Image:
    size = (document.width, document.height)
    base = Image.new("RGB", size, "#FFFFFF")
    paint.apply(base, document.background.paint, (0, 0), Image.new("L", size, 255))
    if document.background.asset:
        photo = ImageOps.fit(pictures.decode(assets[document.background.asset], size), size, Image.Resampling.LANCZOS)
        base.paste(photo, (0, 0), photo if photo.mode == "RGBA" else None)
    return base


def paint_static(base: Image.Image, layer: Layer, assets: Mapping[str, bytes], values: Mapping[str, str]) -> None:
    if isinstance(layer, ShapeLayer):
        paint.shape(base, layer)
    elif isinstance(layer, ImageLayer):
        _picture(base, layer, assets[layer.asset])
    elif isinstance(layer, TextLayer):
        layout.draw_text(base, layer, values)


def _picture(base: Image.Image, layer: ImageLayer, data: bytes) -> None:
    room = (layer.width, layer.height)
    photo = pictures.decode(data, room).convert("RGBA")
    fit = ImageOps.fit if layer.fit == "cover" else ImageOps.pad
    sized = fit(photo, room, Image.Resampling.LANCZOS)
    cut = Image.new("RGBA", room)
    cut.paste(sized, (0, 0), paint.faded(paint.outline("rect", room, radius=layer.radius), layer.opacity))
    base.paste(cut, (layer.x, layer.y), cut)
