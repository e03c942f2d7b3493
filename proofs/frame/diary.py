"""What clients remember of what they asked for and what they were told: the measure of what must be found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Redirect:
    """One answer to `GET /i/…`: when it came (loop time), how long it took, whether it named an event."""

    at: float
    seconds: float
    status: int
    recorded: bool


@dataclass(slots=True)
class Book:
    """Things that are made once, by the client's own id: all that were asked for, and the ids of those acknowledged."""

    tried: set[str] = field(default_factory=set)
    told: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Diary:
    """`attempts` by counter: every sending of every event. `told`: events acknowledged, by counter, each once.

    `visits`: events of `GET /i/…` by their id; `events`: those of batches by the client's id, and what was said.
    """

    requests: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    repeats: int = 0
    attempts: Counter[str] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    visits_tried: int = 0
    visits: set[UUID] = field(default_factory=set)
    redirects: list[Redirect] = field(default_factory=list)
    events: Book = field(default_factory=Book)
    signups: Book = field(default_factory=Book)
    orders: Book = field(default_factory=Book)
    refunds: Book = field(default_factory=Book)
    faults: list[str] = field(default_factory=list)

    @property
    def load(self) -> int:
        return self.requests.total()

    @property
    def unrecorded(self) -> int:
        """Redirects without an event."""
        return sum(redirect.status == 302 and not redirect.recorded for redirect in self.redirects)

    def summary(self) -> str:
        kinds = ", ".join(f"{number} {name}" for name, number in sorted(self.requests.items()))
        statuses = ", ".join(f"{number} × {status}" for status, number in sorted(self.statuses.items()))
        broken = ", ".join(f"{number} × {name}" for name, number in sorted(self.broken.items()))
        return f"{kinds}; {self.repeats} repeats; {statuses}; no answer: {broken or 'none'}"
