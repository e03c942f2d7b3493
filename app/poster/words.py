"""Words that a nickname may not show on a poster that strangers see."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

STAR = "＊"
# Put between letters to slip through: ignored in the search, kept in what is shown.
_SKIPPED = ("Z", "P", "S", "M", "C")


@lru_cache(maxsize=1)
def default_words() -> frozenset[str]:
    lines = Path(__file__).with_name("words.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(line.strip() for line in lines if line.strip() and not line.startswith("#"))


def filter_nickname(text: str, words: Iterable[str] | None = None) -> str:
    """`words` (default: those of words.txt) replaced by one ＊ a character, however cased, spaced or full-width."""
    letters = [(i, folded) for i, c in enumerate(text) for folded in _folded(c)]
    searched = "".join(folded for _, folded in letters)
    hidden: set[int] = set()
    for word in default_words() if words is None else words:
        wanted = _search_form(word)
        at = searched.find(wanted) if wanted else -1
        while at >= 0:
            hidden.update(range(letters[at][0], letters[at + len(wanted) - 1][0] + 1))
            at = searched.find(wanted, at + 1)
    return "".join(STAR if i in hidden else c for i, c in enumerate(text))


@lru_cache(maxsize=2048)
def _search_form(word: str) -> str:
    return "".join(map(_folded, word))


def _folded(c: str) -> str:
    plain = unicodedata.normalize("NFKC", c).casefold()
    return "".join(p for p in plain if not unicodedata.category(p).startswith(_SKIPPED))
