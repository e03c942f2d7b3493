"""Where texts stand: values put in, sized, broken into lines, cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil, cos, radians, sin

from app.poster import paint, stamps, text
from app.poster.colours import rgba
from app.poster.document import AvatarLayer, Document, Layer, QrLayer, Span, TextLayer
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
        letters = _letters(layer, values, scale)
        lines = wrap(letters, layer.width, layer.lines)
        # The very letter: a text may end in an ellipsis of its own.
        shortened = bool(lines) and lines[-1][-1] is not letters[-1]
        if not shortened or scale <= smallest:
            return Setting(lines, scale, shortened)
        scale = max(scale * 0.94, smallest)


def _letters(layer: TextLayer, values: Mapping[str, str], scale: float) -> list[text.Letter]:
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
    letters = [stamp for place in places for stamp in text.stamped(*place)]
    if layer.outline:
        stroke, colour = layer.outline.width, rgba(layer.outline.colour)
        letters[:0] = [stamp for place in places for stamp in text.outlined(*place, stroke, colour)]
    if layer.shadow and letters:
        area = stamps.bounds(letters)
        shape = stamps.flattened(letters, area).getchannel("A")
        letters.insert(0, paint.shadow_of(shape, area[:2], layer.shadow))
    return letters


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
    left, top, right, bottom = box(layer)
    if not layer.rotation:
        return left, top, right, bottom
    across, down = abs(cos(radians(layer.rotation))), abs(sin(radians(layer.rotation)))
    wide = ((right - left) * across + (bottom - top) * down) / 2
    high = ((right - left) * down + (bottom - top) * across) / 2
    x, y = (left + right) / 2, (top + bottom) / 2
    # Not larger for what a whole turn leaves of a fraction.
    return round(x - wide), round(y - high), ceil(x + wide - 0.01), ceil(y + high - 0.01)


def is_inside(area: Box, document: Document) -> bool:
    left, top, right, bottom = area
    return left >= 0 and top >= 0 and right <= document.width and bottom <= document.height
