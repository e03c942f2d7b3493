"""The font files in the order they are asked, and their loaded faces, one set a process."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from PIL import ImageFont, features

from app.poster import cmap
from app.poster.graphemes import EMOJI_STYLE, KEYCAP, TEXT_STYLE, ZWJ, ZWNJ, is_mark, is_regional

FOLDER = Path(__file__).parent / "fonts"
EMOJI = "NotoColorEmoji.ttf"
EMOJI_SIZE = 109  # the one size its pictures have
_KINDS = ("Regular", "Bold")
_CHINESE = tuple(f"NotoSansSC-{weight}.ttf" for weight in _KINDS)
_MARKED = tuple(f"NotoSans-{weight}.ttf" for weight in _KINDS)
_SCRIPTS = tuple(
    tuple(f"NotoSans{script}-{weight}.ttf" for script in ("Arabic", "Hebrew", "Thai", "Devanagari"))
    for weight in _KINDS
)
_REST = ("NotoSansKR-Regular.otf", "NotoSansMath-Regular.ttf", "NotoSansSymbols-Regular.ttf", EMOJI)
# Letters of these never join, so each can be drawn, and kept, for itself.
APART = frozenset({*_CHINESE, EMOJI})
# These need shaping, for pairs and marks, but bear being spaced out.
SPACED = frozenset({*_CHINESE, *_MARKED, EMOJI})
# Emoji_Presentation=Yes below U+1F000: drawn in colour without being asked to.
_COLOURED = set(
    "⌚⌛⏩⏪⏫⏬⏰⏳◽◾☔☕♈♉♊♋♌♍♎♏♐♑♒♓♿⚓⚡⚪⚫⚽⚾⛄⛅⛎⛔⛪⛲⛳⛵⛺⛽✅✊✋✨❌❎❓❔❕❗➕➖➗➰➿⬛⬜⭐⭕"
)
_UNDRAWN = {ZWJ, ZWNJ, TEXT_STYLE, EMOJI_STYLE}

# The wheel's raqm works once the system's libfribidi is found; without it scripts are drawn unshaped, left to right.
SHAPED = features.check_feature("raqm") is True


@lru_cache(maxsize=16)
def coverage(name: str) -> frozenset[int]:
    return cmap.covered(FOLDER / name)


@lru_cache(maxsize=128)
def font(name: str, size: int) -> ImageFont.FreeTypeFont:
    engine = ImageFont.Layout.RAQM if SHAPED else ImageFont.Layout.BASIC
    return ImageFont.truetype(FOLDER / name, size, layout_engine=engine)


@lru_cache(maxsize=4096)
def choose(cluster: str, bold: bool) -> tuple[str | None, str]:
    """The file that has every character of a cluster, and what to draw of it; None where no file has even its base."""
    for drawn in (cluster, cluster[0]):
        for name in _order(drawn, bold):
            if all(ord(c) in coverage(name) for c in drawn if c not in _UNDRAWN):
                return name, drawn
    return None, cluster


def _order(cluster: str, bold: bool) -> tuple[str, ...]:
    chinese, marked, scripts = _CHINESE[bold], _MARKED[bold], _SCRIPTS[bold]
    if is_emoji(cluster):
        return (EMOJI, chinese, *scripts, *_REST)
    if any(is_mark(c) for c in cluster[1:]):
        return (marked, chinese, *scripts, *_REST)
    return (chinese, marked, *scripts, *_REST)


def is_emoji(cluster: str) -> bool:
    """Whether colour is the customary look of a cluster."""
    first = cluster[0]
    if TEXT_STYLE in cluster:
        return False
    if first.isascii():
        return KEYCAP in cluster
    return first in _COLOURED or EMOJI_STYLE in cluster or is_regional(first) or 0x1F000 <= ord(first) <= 0x1FAFF
