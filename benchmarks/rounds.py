"""Measuring two things fairly: in turn, many rounds, medians."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable, Mapping

Work = Callable[[], Awaitable[None]]


async def interleaved(works: Mapping[str, Work], *, rounds: int) -> dict[str, float]:
    """Median seconds of each, after one round that does not count; every round begins with another one."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    order = list(works)
    for number in range(rounds + 1):
        for name in order:
            began = time.perf_counter()
            await works[name]()
            if number:
                taken[name].append(time.perf_counter() - began)
        order = order[1:] + order[:1]
    return {name: statistics.median(seconds) for name, seconds in taken.items()}
