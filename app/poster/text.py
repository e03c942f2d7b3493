"""One line of text: fonts chosen per character, shaped, ordered, cut to a width, drawn."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

from PIL import Image

from app.poster import bidi, faces, glyphs, graphemes, signs, stamps
from app.poster.colours import RGBA
from app.poster.stamps import Stamp

ELLIPSIS = "…"
# Where the letters of one line stand in a box of `size` pixels: Chinese characters reach from 0.88 above to 0.12 below.
ASCENT = 0.88


# Tuples: thousands of them are made and compared for one poster.
class Style(NamedTuple):
    """`size` in pixels, and so is `spacing`, which is added behind every letter."""

    size: int
    bold: bool
    colour: RGBA
    spacing: float = 0


class Letter(NamedTuple):
    """One grapheme cluster and how it is set."""

    cluster: str
    style: Style


class Piece(NamedTuple):
    """A run that is drawn at once. `face` is a font file, None for the star."""

    text: str
    style: Style
    face: str | None
    level: int

    @property
    def width(self) -> float:
        """How far the pen moves."""
        return self._advance + self.style.spacing

    @property
    def _advance(self) -> float:
        if self.face is None:
            return self.style.size * signs.STAR_WIDTH
        if self.face == faces.EMOJI:
            return signs.emoji(self.text, self.style.size).ink.width
        return self.glyph().advance

    def glyph(self, stroke: int = 0) -> glyphs.Glyph:
        """Of a piece that is drawn from an outline font."""
        return glyphs.glyph(self.text, self.face or "", self.style.size, _direction(self.level), stroke)


def letters(text: str, style: Style) -> list[Letter]:
    return [Letter(cluster, style) for cluster in graphemes.split(graphemes.clean(text))]


def stripped(line: Sequence[Letter]) -> list[Letter]:
    """Without blanks at either end."""
    inked = [i for i, letter in enumerate(line) if letter.cluster != " "]
    return list(line[inked[0] : inked[-1] + 1]) if inked else []


def pieces(line: Sequence[Letter]) -> list[Piece]:
    """The pieces of a line from left to right: letters by themselves, runs where letters join."""
    return _pieces(tuple(line))


# Asked for by measuring, by cutting and by drawing.
@lru_cache(maxsize=256)
def _pieces(line: tuple[Letter, ...]) -> list[Piece]:
    found = []
    levels = bidi.levels([letter.cluster for letter in line])
    cells = [(letter.style, level, *_face(letter)) for letter, level in zip(line, levels, strict=True)]
    for (style, level, face, _), run in groupby(enumerate(cells), key=_run):
        drawn = [text for _, (*_, text) in run]
        if level % 2 and not faces.SHAPED:
            drawn.reverse()  # nobody else will
        found.append(Piece("".join(drawn), style, face, level))
    return bidi.reorder(found, [piece.level for piece in found])


def _run(cell: tuple[int, tuple[Style, int, str | None, str]]) -> tuple[Style, int, str | None, int]:
    """Equal for neighbours that are drawn at once."""
    at, (style, level, face, _) = cell
    alone = face is None or face in faces.APART or (style.spacing and face in faces.SPACED)
    return style, level, face, at if alone else -1


def _face(letter: Letter) -> tuple[str | None, str]:
    return faces.choose(letter.cluster, letter.style.bold)


def width(line: Sequence[Letter]) -> float:
    return sum(piece.width for piece in pieces(line)) - (line[-1].style.spacing if line else 0)


def has_missing(line: Sequence[Letter]) -> bool:
    """Whether a star stands for some character."""
    return any(_face(letter)[0] is None for letter in line)


def cut(line: Sequence[Letter], room: float) -> list[Letter]:
    """As many letters as fit, with an ellipsis where some had to go."""
    if not line or width(line) <= room:
        return list(line)
    low, high = 0, len(line) - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if width(_shortened(line, middle)) <= room else (low, middle - 1)
    return _shortened(line, low)


def _shortened(line: Sequence[Letter], count: int) -> list[Letter]:
    return [*stripped(line[:count]), Letter(ELLIPSIS, line[max(count - 1, 0)].style)]


def stamped(line: Sequence[Letter], left: float, baseline: float) -> list[Stamp]:
    """Colours' alpha is ignored but by the star, which is paler than the text around it."""
    found = []
    for piece in pieces(line):
        size = piece.style.size
        if piece.face is None:
            mask = stamps.faded(signs.star(round(size * signs.STAR_WIDTH)), 2 / 3)
            found.append(Stamp(round(left), round(baseline - 0.80 * size), piece.style.colour[:3], mask))
        elif piece.face == faces.EMOJI:
            ink, mask = signs.emoji(piece.text, size)
            found.append(Stamp(round(left), round(baseline + signs.EMOJI_DROP * size) - ink.height, ink, mask))
        else:
            found += _glyph_stamps(piece, left, baseline, piece.style.colour, 0)
        left += piece.width
    return found


def outlined(line: Sequence[Letter], left: float, baseline: float, stroke: int, colour: RGBA) -> list[Stamp]:
    """The same letters `stroke` pixels fatter, without emoji: to be pressed first."""
    found = []
    for piece in pieces(line):
        if piece.face not in (None, faces.EMOJI):
            found += _glyph_stamps(piece, left, baseline, colour, stroke)
        left += piece.width
    return found


def _glyph_stamps(piece: Piece, left: float, baseline: float, colour: RGBA, stroke: int) -> list[Stamp]:
    mask, dx, dy, _ = piece.glyph(stroke)
    return [Stamp(round(left) + dx, round(baseline) + dy, colour[:3], mask)] if mask else []


def draw(image: Image.Image, line: Sequence[Letter], left: float, baseline: float) -> None:
    """Draw onto an RGB picture."""
    stamps.press(image, stamped(line, left, baseline))


def _direction(level: int) -> str | None:
    if not faces.SHAPED:
        return None
    return "rtl" if level % 2 else "ltr"
