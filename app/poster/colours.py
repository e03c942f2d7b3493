"""Colours as `#RRGGBB` or `#RRGGBBAA`."""

from __future__ import annotations

from PIL import ImageColor

RGB = tuple[int, int, int]
RGBA = tuple[int, int, int, int]


def rgba(text: str) -> RGBA:
    red, green, blue, *alpha = ImageColor.getrgb(text)
    return red, green, blue, alpha[0] if alpha else 255


def rgb(text: str) -> RGB:
    return rgba(text)[:3]


def luminance(colour: RGB) -> float:
    """Relative luminance, 0 (black) to 1 (white), by WCAG 2."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: RGB, other: RGB) -> float:
    """WCAG contrast ratio, 1 to 21."""
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def mixed(one: RGB, other: RGB, share: float) -> RGB:
    """`share` of the first, the rest of the second."""
    red, green, blue = (round(a * share + b * (1 - share)) for a, b in zip(one, other, strict=True))
    return red, green, blue
