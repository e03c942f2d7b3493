"""Colours as `#RRGGBB` or `#RRGGBBAA`."""

from __future__ import annotations

from PIL import ImageColor

RGBA = tuple[int, int, int, int]


def rgba(text: str) -> RGBA:
    red, green, blue, *alpha = ImageColor.getrgb(text)
    return red, green, blue, alpha[0] if alpha else 255


def rgb(text: str) -> tuple[int, int, int]:
    return rgba(text)[:3]


def luminance(colour: tuple[int, int, int]) -> float:
    """Relative luminance, 0 (black) to 1 (white), by WCAG 2."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """WCAG contrast ratio, 1 to 21."""
    bright, dark = sorted((luminance(rgb(one)), luminance(rgb(other))), reverse=True)
    return (bright + 0.05) / (dark + 0.05)
