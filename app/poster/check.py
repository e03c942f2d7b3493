"""What a template must show before people may share it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain, cycle
from typing import Literal

from app.kit.links import LONGEST
from app.poster import layout, qr, symbols, text
from app.poster.colours import contrast, luminance, mixed, rgb
from app.poster.document import AvatarLayer, Layer, Level, QrLayer, TextLayer
from app.poster.render import picture
from app.poster.stamps import overlap
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
# The longest that campaigns and members may have: it must harm neither the code nor the text beside it.
LONG = replace(
    SAMPLE,
    nickname="欧阳雪莉·阿卜杜热合曼·冯·施瓦岑贝格👩‍💻Wolfeschlegelstein" + "很" * 24,
    title="春风十里不如与你同行" * 12,
    product="增长案例集一本，加一年社群会员" * 8,
    price="8888888.88",
    days=365,
    inviter_days=365,
    merchant="一间名字长得写不下的小店" * 6,
)
# Of a long text there must be left what tells it from others.
_LEAST_SHOWN = 4
_SHORTEST_LINK = len("http://a/i/8a2b3c4d?s=qr")
_LEAST_QR_CONTRAST = 7.0
# A turned symbol, or one under a logo, may be read with one code and not with another.
_MORE_CODES = ("23456789", "zyxwvuts", "k7m2q9d4")
Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Problem:
    """`pointer` leads to the layer in the document; an error forbids use, a warning is shown."""

    severity: Severity
    code: str
    pointer: str
    detail: str


def check_template(template: Template) -> list[Problem]:
    """Errors: QR missing, repeated, too small, too pale, covered, unreadable, off the canvas; text without room.

    Warnings: text that is cut, characters that no font has, layers that are off the canvas.
    """
    layers = list(enumerate(template.document.layers))
    found = [problem for i, layer in layers for problem in _layer_problems(template, layer, f"/layers/{i}")]
    codes = [(i, layer) for i, layer in layers if isinstance(layer, QrLayer)]
    if len(codes) != 1:
        found.append(Problem("error", "qr_count", "/layers", "A poster has exactly one QR code."))
        return found
    at, code = codes[0]
    found.extend(_covering(code, layers[at + 1 :]))
    if not _is_read(template, code):
        detail = "The QR code cannot be read after the picture was scaled to 40 % and compressed at quality 60."
        found.append(_problem("error", "qr_unreadable", code, f"/layers/{at}", detail))
    return found


def _covering(code: QrLayer, above: list[tuple[int, Layer]]) -> Iterator[Problem]:
    """What differs from poster to poster, and so may hide more of the symbol than the sample does."""
    area = layout.turned_box(code)
    for i, layer in above:
        differs = isinstance(layer, AvatarLayer) or (isinstance(layer, TextLayer) and layer.names)
        if differs and overlap(layout.turned_box(layer), area):
            yield _problem("error", "qr_covered", layer, f"/layers/{i}", "The layer reaches over the QR code.")


def _is_read(template: Template, layer: QrLayer) -> bool:
    """Links of every length, for a shorter one makes a symbol of fewer and larger modules."""
    *short, longest = links(layer.correction)
    tried = [*zip(short, cycle(_MORE_CODES), strict=False), (longest, SAMPLE.invite_code)]
    if layer.logo or layer.rotation % 90:
        tried += [(longest, code) for code in _MORE_CODES]
    samples = [LONG, *(replace(SAMPLE, invite_code=code, invite_url=f"{link}{code}") for link, code in tried)]
    return all(qr.survives(picture(template, sample), sample.invite_url) for sample in samples)


@lru_cache
def links(level: Level) -> tuple[str, ...]:
    """Without their codes; the longest of each version of symbols that there may be."""
    found: dict[int, str] = {}
    for length in range(_SHORTEST_LINK, LONGEST + 1):
        link = SAMPLE.invite_url.removesuffix(SAMPLE.invite_code)
        link = link[: len("https://")] + link[len("https://") + LONGEST - length :]
        found[symbols.encode(link + SAMPLE.invite_code, level).side] = link
    return tuple(found.values())


def _problem(severity: Severity, code: str, layer: Layer, pointer: str, detail: str) -> Problem:
    return Problem(severity, code, pointer, f"{layer.name}: {detail}" if layer.name else detail)


def _layer_problems(template: Template, layer: Layer, pointer: str) -> Iterator[Problem]:
    checks = [_place_problems(template, layer)]
    if isinstance(layer, QrLayer):
        checks.append(_qr_problems(template, layer))
    if isinstance(layer, TextLayer):
        checks.append(_text_problems(layer))
    for severity, code, detail in chain.from_iterable(checks):
        yield _problem(severity, code, layer, pointer, detail)


Found = Iterator[tuple[Severity, str, str]]


def _place_problems(template: Template, layer: Layer) -> Found:
    area, document = layout.turned_box(layer), template.document
    if not overlap(area, (0, 0, document.width, document.height)):
        severity: Severity = "error" if isinstance(layer, QrLayer) else "warning"
        yield severity, "off_canvas", "The layer lies beside the canvas; nothing of it is seen."
    elif isinstance(layer, QrLayer | TextLayer | AvatarLayer) and not layout.is_inside(area, document):
        severity = "error" if isinstance(layer, QrLayer) else "warning"
        yield severity, "off_canvas", "The layer reaches over the edge of the canvas."


def _qr_problems(template: Template, layer: QrLayer) -> Found:
    codes = (f"{link}{SAMPLE.invite_code}" for link in links(layer.correction))
    sides = [symbols.encode(code, layer.correction).side for code in codes]
    pixels = min(side * qr.module_pixels(layer.size, side, layer.quiet_zone) for side in sides)
    least, share = qr.LEAST_WITH_LOGO if layer.logo else qr.LEAST
    least = max(least, round(share * template.document.width))
    if pixels < least:
        detail = f"Without its quiet zone the symbol of some link is {pixels} pixels wide; it needs {least}."
        yield "error", "qr_too_small", detail
    if _worst_contrast(layer) < _LEAST_QR_CONTRAST:
        yield "error", "qr_contrast", "The modules must be dark on light, with a contrast of 7 or more."


def _worst_contrast(layer: QrLayer) -> float:
    """On whatever shines through it; 0 where the modules are the lighter part."""
    dark, light = rgb(layer.dark), rgb(layer.light)
    if luminance(dark) > luminance(light):
        return 0.0
    grounds = ((0, 0, 0), (255, 255, 255)) if layer.opacity < 1 else (dark,)
    return min(contrast(*(mixed(c, ground, layer.opacity) for c in (dark, light))) for ground in grounds)


def _text_problems(layer: TextLayer) -> Found:
    ordinary, long = (layout.set_text(layer, sample.values()) for sample in (SAMPLE, LONG))
    if any(text.width(line) > layer.width for line in (*ordinary.lines, *long.lines)):
        yield "error", "text_no_room", "The box is too narrow for a single letter of the text."
    elif ordinary.shortened:
        yield "warning", "text_cut", "The text does not fit its box with ordinary values."
    elif long.shortened and sum(map(len, long.lines)) - 1 < _LEAST_SHOWN:
        yield "warning", "text_cut", f"Of a long text fewer than {_LEAST_SHOWN} characters are left."
    if text.has_missing(layout.letters(layer, SAMPLE.values())):
        yield "warning", "glyph_missing", "The text has a character that no font has; a star stands for it."
