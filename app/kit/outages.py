"""What is away, told when that begins, then at doubling intervals, and when it is over: not at every attempt."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

FIRST_SECONDS = 5.0


@dataclass(slots=True)
class _Outage:
    since: float
    told_again_at: float


class Outages:
    """One process's, each under a name of its own."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open: dict[Hashable, _Outage] = {}

    def is_news(self, name: Hashable) -> bool:
        """Whether to tell of another failed attempt."""
        now = self._clock()
        outage = self._open.setdefault(name, _Outage(now, now))
        if now < outage.told_again_at:
            return False
        outage.told_again_at = now + max(FIRST_SECONDS, now - outage.since)
        return True

    def ended(self, name: Hashable) -> float | None:
        """After an attempt that went well: for how many seconds none did; None where the one before did, too."""
        outage = self._open.pop(name, None)
        return None if outage is None else self._clock() - outage.since
