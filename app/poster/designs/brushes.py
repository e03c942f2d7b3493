"""Short forms of the layers that the built-in documents are made of."""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, pi, sin
from typing import Any

Layer = dict[str, Any]
INK, GREY, FAINT = "#1F2328", "#6B7280", "#E5E7EB"


def rect(x: int, y: int, width: int, height: int, fill: Any = None, **more: Any) -> Layer:
    return {"type": "shape", "x": x, "y": y, "width": width, "height": height, "fill": fill, **more}


def disc(x: int, y: int, size: int, fill: Any = None, **more: Any) -> Layer:
    """A circle by its middle and diameter."""
    return rect(x - size // 2, y - size // 2, size, size, fill, kind="ellipse", **more)


def ring(x: int, y: int, size: int, width: int, colour: str) -> Layer:
    return disc(x, y, size, border={"width": width, "colour": colour})


def sparkle(x: int, y: int, size: int, fill: str, **more: Any) -> Layer:
    """A four-pointed star by its middle."""
    points = [[0.5, 0], [0.59, 0.41], [1, 0.5], [0.59, 0.59], [0.5, 1], [0.41, 0.59], [0, 0.5], [0.41, 0.41]]
    return rect(x - size // 2, y - size // 2, size, size, fill, kind="polygon", points=points, **more)


def notch(x: int, y: int, size: int, fill: str, *, right: bool) -> Layer:
    """Half a disc that bites into a card from its left edge, or from its right one."""
    turn = [(cos(i * pi / 24), (1 + sin(i * pi / 24)) / 2) for i in range(-12, 13)]
    points = [[1 - across if right else across, down] for across, down in turn]
    return rect(x - size // 2 if right else x, y - size // 2, size // 2, size, fill, kind="polygon", points=points)


def dashes(x: int, y: int, width: int, colour: str, step: int = 22) -> list[Layer]:
    return [rect(left, y, 12, 3, colour, radius=1) for left in range(x, x + width - 11, step)]


def words(x: int, y: int, width: int, text: str | Sequence[dict[str, Any]], size: int, **more: Any) -> Layer:
    return {"type": "text", "x": x, "y": y, "width": width, "text": text, "size": size, **more}


def bold(x: int, y: int, width: int, text: str | Sequence[dict[str, Any]], size: int, **more: Any) -> Layer:
    return words(x, y, width, text, size, weight="bold", **more)


def avatar(x: int, y: int, size: int, border: str, line: int) -> Layer:
    return {"type": "avatar", "x": x, "y": y, "size": size, "border": {"width": line, "colour": border}}


def qr(x: int, y: int, size: int, dark: str) -> Layer:
    return {"type": "qr", "x": x, "y": y, "size": size, "dark": dark, "radius": 40}
