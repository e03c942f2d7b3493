"""Integer minor units (fen). The only rounding of the house is `share`: floor."""

from __future__ import annotations

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


def yuan(amount_minor: int) -> str:
    """`5900` → `59.00`; for people, never for arithmetic."""
    sign = "-" if amount_minor < 0 else ""
    return f"{sign}{abs(amount_minor) // 100:,}.{abs(amount_minor) % 100:02d}"
