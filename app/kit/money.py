"""Integer minor units (fen). Rates are floored by `share`; what happens in parts is rounded over all of them."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from fractions import Fraction

BPS = 10_000
MAX_MINOR = 10**15


def share(amount_minor: int, rate_bps: int) -> int:
    """`rate_bps` of a non-negative amount, floored; the remainder stays with the merchant."""
    if amount_minor < 0 or rate_bps < 0:
        raise ValueError("share() takes non-negative numbers")
    return amount_minor * rate_bps // BPS


def cumulative_part(total_minor: int, done: int, whole: int) -> int:
    """What of `total_minor` is due once `done` of `whole` has happened.

    Taking differences of this function over growing `done` adds up to exactly `total_minor` when done equals whole,
    whatever the steps were.
    """
    if not 0 <= done <= whole or whole <= 0:
        raise ValueError("0 <= done <= whole, whole > 0")
    return total_minor if done == whole else total_minor * done // whole


def apportion(total_minor: int, weights: Sequence[int]) -> list[int]:
    """`total_minor` cut in proportion to `weights`, of whose sum it is a part.

    Each part grows with the total, never beyond its weight, and is all of it when the total is the sum: the k-th unit
    of a weight is due at (2k - 1) / 2 weight (Webster's method), and of two at once the first weight's comes first. So
    parts never depend on the steps that led to a total, as differences of rounded sums would.
    """
    whole = sum(weights)
    if not 0 <= total_minor <= whole or min(weights, default=0) < 0:
        raise ValueError("0 <= total <= sum of the weights, none of them below zero")
    parts = [(2 * weight * total_minor + whole) // (2 * whole) if weight else 0 for weight in weights]
    way = 1 if sum(parts) < total_minor else -1
    edges = [_edge(parts[place], weight, place, way) for place, weight in enumerate(weights) if weight]
    heapq.heapify(edges)
    for _ in range(abs(total_minor - sum(parts))):
        place = edges[0][2]
        parts[place] += way
        heapq.heapreplace(edges, _edge(parts[place], weights[place], place, way))
    return parts


def _edge(part: int, weight: int, place: int, way: int) -> tuple[Fraction, int, int]:
    """When the next unit would come (`way` 1), or the last one came (-1); the one to be moved first is the least."""
    return way * Fraction(2 * part + way, 2 * weight), way * place, place


def yuan(amount_minor: int) -> str:
    """`5900` → `59.00`; for people, never for arithmetic."""
    sign = "-" if amount_minor < 0 else ""
    return f"{sign}{abs(amount_minor) // 100:,}.{abs(amount_minor) % 100:02d}"
