"""The visual order of a line's pieces: the bidirectional algorithm (UAX #9) without explicit levels."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Literal, TypeVar

Kind = Literal["L", "R", "N", ""]
T = TypeVar("T")


def levels(clusters: Sequence[str]) -> list[int]:
    """One embedding level a cluster: even runs left to right, odd ones right to left."""
    kinds = [_kind(cluster[0]) for cluster in clusters]
    if "R" not in kinds:
        return [0] * len(kinds)
    base = 1 if next((kind for kind in kinds if kind in ("L", "R")), "L") == "R" else 0
    strong: Kind = "R" if base else "L"
    found: list[int | None] = []
    for kind in kinds:
        strong = kind if kind in ("L", "R") else strong
        number_level = 2 if strong == "R" else base
        found.append({"L": 2 * base, "R": 1, "N": number_level, "": None}[kind])
    return _resolve_neutrals(found, base)


@lru_cache(maxsize=4096)
def _kind(character: str) -> Kind:
    found = unicodedata.bidirectional(character)
    if found in ("R", "AL"):
        return "R"
    if found in ("EN", "AN"):
        return "N"
    return "L" if found == "L" else ""


def _resolve_neutrals(found: list[int | None], base: int) -> list[int]:
    """Between two runs of right-to-left text (numbers in it included) a blank belongs to it, elsewhere to the line."""
    known = [-1, *(i for i, level in enumerate(found) if level is not None), len(found)]
    resolved = [base if level is None else level for level in found]
    for before, after in pairwise(known):
        sides = {(found[i] or 0) if 0 <= i < len(found) else base for i in (before, after)}
        for i in range(before + 1, after):
            resolved[i] = 1 if min(sides) >= 1 else base
    return resolved


def reorder(pieces: Sequence[T], of: Sequence[int]) -> list[T]:
    """Rule L2: from the highest level down to 1, turn round every run of that level or above."""
    order = list(range(len(pieces)))
    for level in range(max(of, default=0), 0, -1):
        start = 0
        while start < len(order):
            end = start
            while end < len(order) and of[order[end]] >= level:
                end += 1
            order[start:end] = reversed(order[start:end])
            start = max(end, start + 1)
    return [pieces[i] for i in order]
