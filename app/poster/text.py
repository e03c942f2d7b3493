"""One line of text: fonts chosen per character, shaped, ordered, cut to a width, drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from PIL import Image, ImageDraw

from app.poster import bidi, faces, graphemes, signs
from app.poster.colours import RGBA

ELLIPSIS = "…"
# Where the letters of one line stand in a box of `size` pixels: Chinese characters reach from 0.88 above to 0.12 below.
ASCENT = 0.88


@dataclass(frozen=True, slots=True)
class Style:
    """`size` in pixels."""

    size: int
    bold: bool
    colour: RGBA


@dataclass(frozen=True, slots=True)
class Letter:
    """One grapheme cluster and how it is set."""

    cluster: str
    style: Style


@dataclass(frozen=True)
class Piece:
    """A run that is drawn at once. `face` is a font file, None for the star."""

    text: str
    style: Style
    face: str | None
    level: int

    @cached_property
    def width(self) -> float:
        if self.face is None:
            return self.style.size * signs.STAR_WIDTH * len(graphemes.split(self.text))
        if self.face == faces.EMOJI:
            return signs.emoji(self.text, self.style.size).width
        return float(faces.font(self.face, self.style.size).getlength(self.text, direction=_direction(self.level)))


def letters(text: str, style: Style) -> list[Letter]:
    return [Letter(cluster, style) for cluster in graphemes.split(graphemes.clean(text))]


def stripped(line: Sequence[Letter]) -> list[Letter]:
    """Without blanks at either end."""
    inked = [i for i, letter in enumerate(line) if letter.cluster != " "]
    return list(line[inked[0] : inked[-1] + 1]) if inked else []


def pieces(line: Sequence[Letter]) -> list[Piece]:
    """The pieces of a line from left to right."""
    found = []
    levels = bidi.levels([letter.cluster for letter in line])
    cells = [(letter, level, *_face(letter)) for letter, level in zip(line, levels, strict=True)]
    for key, run in groupby(cells, key=lambda cell: (cell[0].style, cell[1], cell[2])):
        style, level, face = key
        drawn = [text for *_, text in run]
        if level % 2 and not faces.SHAPED:
            drawn.reverse()  # nobody else will
        # Pictures stand alone, so that their order is the line's and each is cached for itself.
        texts = drawn if face in (None, faces.EMOJI) else ["".join(drawn)]
        found += [Piece(text, style, face, level) for text in texts]
    return bidi.reorder(found, [piece.level for piece in found])


def _face(letter: Letter) -> tuple[str | None, str]:
    return faces.choose(letter.cluster, letter.style.bold)


def width(line: Sequence[Letter]) -> float:
    return sum(piece.width for piece in pieces(line))


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


def draw(image: Image.Image, line: Sequence[Letter], left: float, baseline: float) -> None:
    """Draw onto an RGB picture. Colours' alpha is ignored but by the star, which is paler than the text around it."""
    canvas = ImageDraw.Draw(image)
    for piece in pieces(line):
        size = piece.style.size
        if piece.face is None:
            mask = signs.star(round(size * signs.STAR_WIDTH)).point(lambda value: value * 2 // 3)
            image.paste(piece.style.colour[:3], (round(left), round(baseline - 0.80 * size)), mask)
        elif piece.face == faces.EMOJI:
            picture = signs.emoji(piece.text, size)
            image.paste(picture, (round(left), round(baseline + signs.EMOJI_DROP * size) - picture.height), picture)
        else:
            font = faces.font(piece.face, size)
            place, colour = (left, baseline), piece.style.colour[:3]
            canvas.text(place, piece.text, fill=colour, font=font, anchor="ls", direction=_direction(piece.level))
        left += piece.width


def _direction(level: int) -> str | None:
    if not faces.SHAPED:
        return None
    return "rtl" if level % 2 else "ltr"
