"""Shapes: colours, gradients, shadows and glows, as stamps."""

from __future__ import annotations

from math import cos, radians, sin

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from app.poster.colours import rgba
from app.poster.document import Paint, Shadow, ShapeLayer
from app.poster.stamps import Stamp, faded

# Edges are drawn this many times larger and scaled down: Pillow draws none smoothly. Twice do for what is larger than
# any canvas, which would take a quarter of a gigabyte otherwise.
_FINE, _FINE_ENOUGH, _LARGE = 4, 2, 2_500_000
# A gradient is computed on a square of this side and scaled up; smaller shows its steps.
_RAMP = 64


def picture(paint: Paint, size: tuple[int, int]) -> Image.Image:
    """RGBA picture of a colour or a gradient."""
    colours = [rgba(stop) for stop in paint.stops]
    if len(colours) == 1:
        return Image.new("RGBA", size, colours[0])
    across, down = cos(radians(paint.angle)), sin(radians(paint.angle))
    reach = (abs(across) + abs(down)) / 2
    pixels = bytearray()
    for row in range(_RAMP):
        for column in range(_RAMP):
            x, y = (column + 0.5) / _RAMP - 0.5, (row + 0.5) / _RAMP - 0.5
            place = ((x * across + y * down) / reach + 1) / 2 * (len(colours) - 1)
            at = min(int(place), len(colours) - 2)
            pixels += bytes(
                round(a + (b - a) * (place - at)) for a, b in zip(colours[at], colours[at + 1], strict=True)
            )
    return Image.frombytes("RGBA", (_RAMP, _RAMP), bytes(pixels)).resize(size, Image.Resampling.BICUBIC)


def outline(
    kind: str, size: tuple[int, int], *, radius: int = 0, points: tuple[tuple[float, float], ...] = ()
) -> Image.Image:
    """Mask of a shape that fills `size`, with smooth edges."""
    fine = _FINE if size[0] * size[1] <= _LARGE else _FINE_ENOUGH
    wide, high = size[0] * fine, size[1] * fine
    mask = Image.new("L", (wide, high))
    pen = ImageDraw.Draw(mask)
    if kind == "ellipse":
        pen.ellipse((0, 0, wide - 1, high - 1), fill=255)
    elif kind == "polygon":
        pen.polygon([(x * wide, y * high) for x, y in points], fill=255)
    else:
        pen.rounded_rectangle((0, 0, wide - 1, high - 1), radius=min(radius * fine, wide // 2, high // 2), fill=255)
    return mask.resize(size, Image.Resampling.BOX)


def filled(paint: Paint, place: tuple[int, int], mask: Image.Image) -> Stamp:
    """Paint through a mask whose top left corner lies at `place`, on the canvas or partly off it."""
    if len(paint.stops) == 1:
        return inked(paint.stops[0], place, mask)
    colours = picture(paint, mask.size)
    through = ImageChops.multiply(mask, colours.getchannel("A"))
    return Stamp(*place, colours.convert("RGB"), through)


def inked(colour: str, place: tuple[int, int], mask: Image.Image) -> Stamp:
    red, green, blue, alpha = rgba(colour)
    return Stamp(*place, (red, green, blue), faded(mask, alpha / 255))


def shadow_of(mask: Image.Image, place: tuple[int, int], shadow: Shadow) -> Stamp:
    soft, margin = _softened(mask, shadow.blur)
    return inked(shadow.colour, (place[0] + shadow.dx - margin, place[1] + shadow.dy - margin), soft)


def shape(layer: ShapeLayer) -> list[Stamp]:
    """Shadow, then fill, then border; the border lies inside the box."""
    mask = outline(layer.kind, (layer.width, layer.height), radius=layer.radius, points=layer.points)
    place = (layer.x, layer.y)
    found = []
    if layer.shadow:
        found.append(shadow_of(mask, place, layer.shadow))
    if layer.fill:
        soft, margin = _softened(mask, layer.blur)
        found.append(filled(layer.fill, (place[0] - margin, place[1] - margin), soft))
    if layer.border:
        found.append(inked(layer.border.colour, place, _rim(layer, mask)))
    return found


def reach(blur: int) -> int:
    """How far what is blurred spreads."""
    return blur * 2


def _softened(mask: Image.Image, blur: int) -> tuple[Image.Image, int]:
    """A blurred mask with room for its edges, and the width of that room."""
    if not blur:
        return mask, 0
    margin = reach(blur)
    roomy = Image.new("L", (mask.width + 2 * margin, mask.height + 2 * margin))
    roomy.paste(mask, (margin, margin))
    return roomy.filter(ImageFilter.GaussianBlur(blur * 0.75)), margin


def _rim(layer: ShapeLayer, mask: Image.Image) -> Image.Image:
    line = layer.border.width if layer.border else 0
    inner = (layer.width - 2 * line, layer.height - 2 * line)
    rim = mask.copy()
    if min(inner) > 0:
        hole = outline(layer.kind, inner, radius=max(layer.radius - line, 0), points=layer.points)
        rim.paste(0, (line, line), hole)
    return rim
