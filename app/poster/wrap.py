"""Breaking text into lines: Chinese anywhere but before closing punctuation, other scripts at blanks."""

from __future__ import annotations

from collections.abc import Sequence

from app.poster.text import Letter, cut, stripped, width

_NEVER_FIRST = set("，。！？、；：）》」』】”’…·,.!?;:)]}%")
_NEVER_LAST = set("（《「『【“‘([{¥￥$")


def wrap(line: Sequence[Letter], room: float, most: int) -> list[list[Letter]]:
    """At most `most` lines, the last one cut with an ellipsis."""
    lines: list[list[Letter]] = []
    rest = list(line)
    while len(rest) > 1 and len(lines) < most - 1 and width(rest) > room:
        at = _break(rest, room)
        lines.append(stripped(rest[:at]))
        rest = stripped(rest[at:])
    return [*lines, cut(rest, room)] if rest else lines


def _break(line: Sequence[Letter], room: float) -> int:
    low, high = 1, len(line) - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if width(line[:middle]) <= room else (low, middle - 1)
    for at in range(low, 0, -1):
        if _may_break(line[at - 1].cluster, line[at].cluster):
            return at
    return low


def _may_break(before: str, after: str) -> bool:
    if after in _NEVER_FIRST or before in _NEVER_LAST:
        return False
    return " " in (before, after) or _is_wide(before) or _is_wide(after)


def _is_wide(cluster: str) -> bool:
    return ord(cluster[0]) >= 0x2E80
