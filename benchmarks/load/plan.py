"""What the generator is told and what it tells, as both processes know it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

# Where a request differs each time it is sent: eight hexadecimal digits take its place, so that its length stays.
NUMBER = b"@@@@@@@@"
MOST_NUMBER = 0xFFFF_FFFF


class Shot(msgspec.Struct, frozen=True):
    """One request as bytes. A right answer has this status, and `Plan.needle` in it `times` times."""

    request: bytes
    status: int
    times: int


class Plan(msgspec.Struct, frozen=True):
    """`connections` share the addresses and send the shots in turn, each the next one when it has its answer.

    The first `warm_seconds` do not count. `processes`: whose processor time is wanted, by name.
    """

    addresses: Sequence[tuple[str, int]]
    shots: Sequence[Shot]
    needle: bytes
    connections: int
    warm_seconds: float
    seconds: float
    most_requests: int
    first_number: int = 0
    processes: Mapping[str, Sequence[int]] = {}


class Report(msgspec.Struct, frozen=True):
    """`answered`: right answers in the `seconds` that count; `by_shot`: all right answers, warm-up included.

    `processor`: seconds in which each process worked meanwhile, the generator's as `generator`; `elsewhere`: the share
    of the machine that others took. `faults`: wrong answers in words, `wrong` all of them; `sent` what was sent at all.
    """

    answered: int
    seconds: float
    by_shot: list[int]
    sent: int
    statuses: dict[int, int]
    wrong: int
    faults: list[str]
    processor: dict[str, float]
    elsewhere: float
    median_ms: float
    late_ms: float

    @property
    def rate(self) -> float:
        return self.answered / self.seconds if self.seconds else 0.0

    @property
    def is_right(self) -> bool:
        return self.answered > 0 and self.wrong == 0 and sum(self.by_shot) == self.sent

    def microseconds(self, name: str) -> float:
        """Of a process' time, per request that counts."""
        return self.processor[name] / self.answered * 1e6 if self.answered else 0.0
