"""Breaking text into lines: Chinese anywhere but before closing punctuation, other scripts at blanks.

A Chinese text never ends in a line of one character: the line before gives one up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.poster.text import Letter, cut, stripped, width

_NEVER_FIRST = set("，。！？、；：）》」』】〉〕〗｝”’…—～·‧ー々％‰℃°,.!?;:)]}%")
_NEVER_LAST = set("（《「『【〈〔〖｛“‘([{¥￥$#＃@＠")
# On the last of several lines, that many characters at the least.
_LEAST_LAST = 2


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
    furthest = _furthest(line, room)
    at = next(_places(line, furthest), furthest)
    if width(stripped(line[at:])) > room:
        return at
    # What follows is the last line.
    short = _LEAST_LAST - sum(letter.cluster not in _NEVER_FIRST for letter in stripped(line[at:]))
    if short <= 0 or not _is_wide(line[-1].cluster):
        return at
    earlier = next(_places(line, at - short), at)
    return earlier if 2 * earlier >= at and width(stripped(line[earlier:])) <= room else at


def _furthest(line: Sequence[Letter], room: float) -> int:
    """How many letters have room; one at the least, and not all."""
    low, high = 1, len(line) - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if width(line[:middle]) <= room else (low, middle - 1)
    return low


def _places(line: Sequence[Letter], most: int) -> Iterator[int]:
    """Where the line may be broken, the last place among the first `most` letters first."""
    return (at for at in range(most, 0, -1) if _may_break(line[at - 1].cluster, line[at].cluster))


def _may_break(before: str, after: str) -> bool:
    if after in _NEVER_FIRST or before in _NEVER_LAST:
        return False
    return " " in (before, after) or _is_wide(before) or _is_wide(after)


def _is_wide(cluster: str) -> bool:
    return ord(cluster[0]) >= 0x2E80
