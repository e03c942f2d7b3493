"""What a person typed, made fit for drawing, and cut where a reader sees one character."""

from __future__ import annotations

import re
import unicodedata

ZWJ, ZWNJ = "\u200d", "\u200c"
TEXT_STYLE, EMOJI_STYLE = "\ufe0e", "\ufe0f"
KEYCAP = "\u20e3"
# Nobody reads further on a poster, and every step below costs per character.
LONGEST = 500
# More marks on one letter than any language uses only smear over the neighbours ("Zalgo").
MOST_MARKS = 3
# ASCII and Chinese characters stand by themselves. Most texts have no others, and are spared a look at each.
_PLAIN = re.compile(r"[!-~㐀-䶿一-鿿]*( [!-~㐀-䶿一-鿿]+)* ?")
_BLANKS = {"\u115f", "\u1160", "\u2800", "\u3164", "\uffa0"}
_SPACING_MARKS = {"\u0e33", "\u0eb3", "\uff9e", "\uff9f"}


def clean(text: str) -> str:
    """NFC, one line, blanks collapsed, without control characters, surrogates, bidi overrides and stray joiners."""
    if len(text) <= LONGEST and _PLAIN.fullmatch(text):
        return text
    composed = unicodedata.normalize("NFC", text[:LONGEST].encode("utf-8", "ignore").decode())
    kept = "".join(" " if c.isspace() or c in _BLANKS else c for c in composed if not _dropped(c))
    return re.sub(" +", " ", kept)


def _dropped(c: str) -> bool:
    if c.isspace() or c in (ZWJ, ZWNJ, TEXT_STYLE, EMOJI_STYLE) or is_tag(c):
        return False
    code = ord(c)
    variation = 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF
    nonsense = 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE
    return variation or nonsense or unicodedata.category(c) in ("Cc", "Cf", "Cs")


def is_tag(c: str) -> bool:
    return 0xE0020 <= ord(c) <= 0xE007F


def is_regional(c: str) -> bool:
    return 0x1F1E6 <= ord(c) <= 0x1F1FF


def is_skin_tone(c: str) -> bool:
    return 0x1F3FB <= ord(c) <= 0x1F3FF


def is_mark(c: str) -> bool:
    return unicodedata.category(c) in ("Mn", "Me", "Mc") or c in _SPACING_MARKS


def split(text: str) -> list[str]:
    """Grapheme clusters: UAX #29 for marks, joined emoji, flags, Indic conjuncts and Hangul letters."""
    if _PLAIN.fullmatch(text):
        return list(text)
    clusters: list[str] = []
    for c in text:
        if clusters and _continues(clusters[-1], c):
            if not is_mark(c) or _marks(clusters[-1]) < MOST_MARKS or c in (EMOJI_STYLE, KEYCAP):
                clusters[-1] += c
        elif not _only_extends(c):
            clusters.append(c)
    return clusters


def _marks(cluster: str) -> int:
    return sum(map(is_mark, cluster))


def _only_extends(c: str) -> bool:
    return is_mark(c) or is_tag(c) or c in (ZWJ, ZWNJ)


def _continues(cluster: str, c: str) -> bool:
    last = cluster[-1]
    if is_tag(c):
        return is_tag(last) or last == "\U0001f3f4"
    if _only_extends(c) or (is_skin_tone(c) and not last.isascii()):
        return True
    if is_regional(c):
        return len(cluster) == 1 and is_regional(last)
    if last == ZWJ:
        return len(cluster) > 1 and unicodedata.category(c) in ("So", "Cn", "Sm")
    virama = unicodedata.combining(last) == 9
    return (virama and unicodedata.category(c) == "Lo") or _joins_hangul(last, c)


def _joins_hangul(last: str, c: str) -> bool:
    leading = "\u1100" <= last < "\u1160" and "\u1100" <= c < "\u11a8"
    return leading or ("\u1160" <= last <= "\u11ff" and "\u1160" <= c <= "\u11ff")
