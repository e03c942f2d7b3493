"""What a template must show before people may share it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from app.poster import layout, qr, text
from app.poster.colours import contrast, luminance, rgb
from app.poster.document import AvatarLayer, Layer, QrLayer, TextLayer
from app.poster.render import picture
from app.poster.template import PosterInput, Template

# As long as a link may be, so that the symbol is the densest that will be drawn.
SAMPLE = PosterInput(
    invite_url=f"https://{'x' * 33}.example/i/8a2b3c4d",
    nickname="欧阳小明",
    invite_code="8a2b3c4d",
    title="案例集与年度会员",
    product="增长案例集一本，加一年社群会员",
    price="59.00",
    days=30,
    inviter_days=30,
    merchant="一间小店",
)
_LEAST_QR_CONTRAST = 7.0


@dataclass(frozen=True, slots=True)
class Problem:
    """`pointer` leads to the layer in the document; an error forbids use, a warning is shown."""

    severity: Literal["error", "warning"]
    code: str
    pointer: str
    detail: str


def check_template(template: Template) -> list[Problem]:
    """Errors: QR missing, repeated, too small, too pale, unreadable, off the canvas. Warnings: cut and missing text."""
    layers = list(enumerate(template.document.layers))
    found = [problem for i, layer in layers for problem in _layer_problems(template, layer, f"/layers/{i}")]
    codes = [i for i, layer in layers if isinstance(layer, QrLayer)]
    if len(codes) != 1:
        found.append(Problem("error", "qr_count", "/layers", "A poster has exactly one QR code."))
    elif not qr.survives(picture(template, SAMPLE), SAMPLE.invite_url):
        detail = "The QR code cannot be read after the picture was scaled to 40 % and compressed at quality 60."
        found.append(Problem("error", "qr_unreadable", f"/layers/{codes[0]}", detail))
    return found


def _layer_problems(template: Template, layer: Layer, pointer: str) -> Iterator[Problem]:
    if isinstance(layer, QrLayer):
        yield from _qr_problems(template, layer, pointer)
    if isinstance(layer, TextLayer):
        yield from _text_problems(layer, pointer)
    if isinstance(layer, QrLayer | TextLayer | AvatarLayer) and not layout.is_inside(
        layout.box(layer), template.document
    ):
        severity: Literal["error", "warning"] = "error" if isinstance(layer, QrLayer) else "warning"
        yield Problem(severity, "off_canvas", pointer, "The layer reaches over the edge of the canvas.")


def _qr_problems(template: Template, layer: QrLayer, pointer: str) -> Iterator[Problem]:
    side = qr.modules(SAMPLE.invite_url).width
    pixels = side * qr.module_pixels(layer.size, side)
    least = max(qr.LEAST_PIXELS, qr.LEAST_SHARE * template.document.width)
    if pixels < least:
        detail = f"The symbol is {pixels} pixels wide without its quiet zone; it needs {round(least)}."
        yield Problem("error", "qr_too_small", pointer, detail)
    if (
        luminance(rgb(layer.dark)) > luminance(rgb(layer.light))
        or contrast(layer.dark, layer.light) < _LEAST_QR_CONTRAST
    ):
        yield Problem(
            "error", "qr_contrast", pointer, "The modules must be dark on light, with a contrast of 7 or more."
        )


def _text_problems(layer: TextLayer, pointer: str) -> Iterator[Problem]:
    setting = layout.set_text(layer, SAMPLE.values())
    if setting.shortened:
        yield Problem("warning", "text_cut", pointer, "The text does not fit its box with ordinary values.")
    if any(text.has_missing(line) for line in setting.lines):
        yield Problem(
            "warning", "glyph_missing", pointer, "The text has a character that no font has; a star stands for it."
        )
