"""Where texts stand: values put in, sized, broken into lines, cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil, cos, floor, radians, sin

from app.poster import paint, stamps, text
from app.poster.colours import rgba
from app.poster.document import AvatarLayer, Document, Layer, QrLayer, ShapeLayer, Span, TextLayer
from app.poster.stamps import Box, Stamp
from app.poster.wrap import wrap


@dataclass(frozen=True, slots=True)
class Setting:
    """Lines of a text layer as they are drawn, and whether something had to be left out."""

    lines: list[list[text.Letter]]
    scale: float
    shortened: bool


def needs(layer: Layer) -> frozenset[str]:
    """The values without which a layer is not painted."""
    named = layer.names if isinstance(layer, TextLayer) else frozenset[str]()
    return named | {layer.when} if layer.when else named


def is_shown(layer: Layer, values: Mapping[str, str]) -> bool:
    return all(values[name] for name in needs(layer))


def set_text(layer: TextLayer, values: Mapping[str, str]) -> Setting:
    """Shrink to `min_size` as far as the text is too long, then break and cut."""
    smallest = min((layer.min_size or layer.size) / layer.size, 1)
    scale = 1.0
    while True:
        line = letters(layer, values, scale)
        lines = wrap(line, layer.width, layer.lines)
        # The very letter: a text may end in an ellipsis of its own.
        shortened = bool(lines) and lines[-1][-1] is not line[-1]
        if not shortened or scale <= smallest:
            return Setting(lines, scale, shortened)
        scale = max(scale * 0.94, smallest)


def letters(layer: TextLayer, values: Mapping[str, str], scale: float = 1.0) -> list[text.Letter]:
    """All spans as one line."""
    spans = ((span.text.format_map(values), _style(layer, span, scale)) for span in layer.text)
    return text.stripped([letter for words, style in spans for letter in text.letters(words, style)])


def _style(layer: TextLayer, span: Span, scale: float) -> text.Style:
    size = max(round((span.size or layer.size) * scale), 1)
    colour = rgba(span.colour or layer.colour)
    return text.Style(size, (span.weight or layer.weight) == "bold", colour, layer.letter_spacing * scale)


def text_stamps(layer: TextLayer, values: Mapping[str, str]) -> list[Stamp]:
    """Shadow, then outlines, then letters; not yet turned or faded."""
    places = list(_placed(layer, set_text(layer, values)))
    found = [stamp for place in places for stamp in text.stamped(*place)]
    if layer.outline:
        stroke, colour = layer.outline.width, rgba(layer.outline.colour)
        found[:0] = [stamp for place in places for stamp in text.outlined(*place, stroke, colour)]
    if layer.shadow and found:
        area = stamps.bounds(found)
        shape = stamps.flattened(found, area).getchannel("A")
        found.insert(0, paint.shadow_of(shape, area[:2], layer.shadow))
    return found


def _placed(layer: TextLayer, setting: Setting) -> Iterator[tuple[list[text.Letter], float, float]]:
    """Each line, and where its pen starts."""
    # A text that shrank keeps its middle, so that it stays in line with what is beside it.
    pitch = layer.line_pixels if setting.scale == 1 else round(layer.line_pixels * setting.scale)
    top = layer.y + (layer.line_pixels - pitch) / 2
    for line in setting.lines:
        size = max((letter.style.size for letter in line), default=layer.size)
        left = layer.x + (layer.width - text.width(line)) * {"left": 0.0, "center": 0.5, "right": 1.0}[layer.align]
        yield line, left, top + (pitch - size) / 2 + text.ASCENT * size
        top += pitch


def box(layer: Layer) -> Box:
    """Left, top, right, bottom of what a layer may paint, as it stands before it is turned."""
    if isinstance(layer, TextLayer):
        return layer.x, layer.y, layer.x + layer.width, layer.y + layer.line_pixels * layer.lines
    if isinstance(layer, AvatarLayer | QrLayer):
        return layer.x, layer.y, layer.x + layer.size, layer.y + layer.size
    return layer.x, layer.y, layer.x + layer.width, layer.y + layer.height


def turned_box(layer: Layer) -> Box:
    """The smallest upright box around a layer's turned one."""
    return _turned(box(layer), layer)


def _turned(area: Box, layer: Layer) -> Box:
    """Around an area that is turned with the layer, about the middle of the layer's box."""
    if not layer.rotation:
        return area
    left, top, right, bottom = box(layer)
    x, y = (left + right) / 2, (top + bottom) / 2
    across, down = cos(radians(layer.rotation)), sin(radians(layer.rotation))
    corners = [(a - x, b - y) for a in area[::2] for b in area[1::2]]
    wide = [a * across - b * down for a, b in corners]
    high = [a * down + b * across for a, b in corners]
    # Not larger for what a whole turn leaves of a fraction.
    least, most = (x + min(wide), y + min(high)), (x + max(wide), y + max(high))
    return floor(least[0] + 0.01), floor(least[1] + 0.01), ceil(most[0] - 0.01), ceil(most[1] - 0.01)


# Letters reach out of their lines, most of all with marks above and below; one that is wider than its box, of it.
_OVERHANG = 1.3
# Turning blurs edges.
_RIM = 3


def reach(layer: Layer) -> Box:
    """Of all that a layer may ever paint, with letters that stand out, outline, blur and shadow."""
    room = 0
    if isinstance(layer, TextLayer):
        room = round(_OVERHANG * max(layer.size, *(span.size or 0 for span in layer.text)))
        room += layer.outline.width if layer.outline else 0
    if isinstance(layer, ShapeLayer):
        room = paint.reach(layer.blur)
    area = _grown(box(layer), room)
    if isinstance(layer, ShapeLayer | TextLayer) and layer.shadow:
        dx, dy = layer.shadow.dx, layer.shadow.dy
        left, top, right, bottom = _grown(area, paint.reach(layer.shadow.blur))
        area = min(area[0], left + dx), min(area[1], top + dy), max(area[2], right + dx), max(area[3], bottom + dy)
    return _turned(_grown(area, _RIM) if layer.rotation else area, layer)


def _grown(area: Box, room: int) -> Box:
    left, top, right, bottom = area
    return left - room, top - room, right + room, bottom + room


def is_inside(area: Box, document: Document) -> bool:
    left, top, right, bottom = area
    return left >= 0 and top >= 0 and right <= document.width and bottom <= document.height
