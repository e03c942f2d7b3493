"""Where texts stand: values put in, sized, broken into lines, cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image

from app.poster import text
from app.poster.colours import rgba
from app.poster.document import AvatarLayer, Document, Layer, QrLayer, Span, TextLayer
from app.poster.wrap import wrap

Box = tuple[int, int, int, int]


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
    return text.Style(size, (span.weight or layer.weight) == "bold", rgba(span.colour or layer.colour))


def draw_text(image: Image.Image, layer: TextLayer, values: Mapping[str, str]) -> None:
    setting = set_text(layer, values)
    # A text that shrank keeps its middle, so that it stays in line with what is beside it.
    pitch = layer.line_pixels if setting.scale == 1 else round(layer.line_pixels * setting.scale)
    top = layer.y + (layer.line_pixels - pitch) / 2
    for line in setting.lines:
        size = max((letter.style.size for letter in line), default=layer.size)
        left = layer.x + (layer.width - text.width(line)) * {"left": 0.0, "center": 0.5, "right": 1.0}[layer.align]
        text.draw(image, line, left, top + (pitch - size) / 2 + text.ASCENT * size)
        top += pitch


def box(layer: Layer) -> Box:
    """Left, top, right, bottom of what a layer may paint."""
    if isinstance(layer, TextLayer):
        return layer.x, layer.y, layer.x + layer.width, layer.y + layer.line_pixels * layer.lines
    if isinstance(layer, AvatarLayer | QrLayer):
        return layer.x, layer.y, layer.x + layer.size, layer.y + layer.size
    return layer.x, layer.y, layer.x + layer.width, layer.y + layer.height


def is_inside(area: Box, document: Document) -> bool:
    left, top, right, bottom = area
    return left >= 0 and top >= 0 and right <= document.width and bottom <= document.height
