"""The generator: a plan on standard input, a report on standard output. Imports nothing of the application.

Nothing is built while it runs: requests are bytes, and of an answer only what tells right from wrong is looked at. So
it costs a fraction of what the cheapest server costs, and leaves the machine to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import statistics
import sys
import time
from collections import Counter
from itertools import cycle

import msgspec
import psutil  # type: ignore[import-untyped]  # comes with the embedded servers, without types
import uvloop

from benchmarks.load.plan import MOST_NUMBER, NUMBER, Plan, Report

MOST_FAULTS = 5
# For answers under way when the time is over: they were sent, and count as sent.
LAST_ANSWERS_SECONDS = 20.0
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"


def missing(data: bytes) -> int:
    """Bytes that an answer still lacks, at least; negative where there are too many. ValueError without a length."""
    end = data.find(_HEAD_END)
    if end < 0:
        return 1
    head = data[:end].lower()
    at = head.find(_LENGTH)
    if at < 0:
        raise ValueError("an answer without a content-length")
    line_end = head.find(b"\r", at)
    length = int(head[at + len(_LENGTH) : line_end if line_end > 0 else None])
    return end + len(_HEAD_END) + length - len(data)


class Salvo:
    """What all connections share: the next request, and what has come of those before."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.next_place = cycle(range(len(plan.shots))).__next__
        self.is_numbered = any(NUMBER in shot.request for shot in plan.shots)
        self.number = plan.first_number
        self.is_over, self.counts = False, False
        self.sent = self.wrong = self.answered = self.open = 0
        self.by_shot = [0] * len(plan.shots)
        self.statuses: Counter[int] = Counter()
        self.faults: list[str] = []
        self.waits: list[float] = []
        self.all_closed = asyncio.Event()

    def next_request(self) -> tuple[int, bytes]:
        place = self.next_place()
        request = self.plan.shots[place].request
        self.sent += 1
        if self.sent >= self.plan.most_requests:
            self.is_over = True
        if self.is_numbered:
            request = request.replace(NUMBER, b"%08x" % (self.number & MOST_NUMBER))
            self.number += 1
        return place, request

    def take(self, place: int, data: bytes, waited: float) -> None:
        shot = self.plan.shots[place]
        status = int(data[9:12])
        self.statuses[status] += 1
        if status != shot.status or data.lower().count(self.plan.needle) != shot.times:
            self.blame(f"{status} for {shot.status}: {data[:300]!r}")
            return
        self.by_shot[place] += 1
        if self.counts:
            self.answered += 1
            self.waits.append(waited)

    def blame(self, fault: str) -> None:
        self.wrong += 1
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(fault)

    def closed(self) -> None:
        self.open -= 1
        if not self.open:
            self.all_closed.set()


class Caller(asyncio.Protocol):
    """One kept connection with one request under way."""

    transport: asyncio.Transport

    def __init__(self, salvo: Salvo) -> None:
        self.salvo, self.received, self.place, self.sent_at = salvo, b"", -1, 0.0
        salvo.open += 1

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # it is one
        self.transport = transport
        self.send()

    def send(self) -> None:
        if self.salvo.is_over:
            self.place = -1
            self.transport.close()
            return
        self.place, request = self.salvo.next_request()
        self.sent_at = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self.received:
            data = self.received + data
        try:
            lacking = missing(data)
        except ValueError as error:
            self.give_up(f"{error}: {data[:300]!r}")
            return
        if lacking > 0:
            self.received = data
            return
        if lacking < 0:
            self.give_up(f"more than one answer: {data[:300]!r}")
            return
        self.received = b""
        self.salvo.take(self.place, data, time.perf_counter() - self.sent_at)
        self.send()

    def give_up(self, fault: str) -> None:
        self.place = -1
        self.salvo.blame(fault)
        self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if self.place >= 0:
            self.salvo.blame(f"a connection ended without an answer: {error!r}")
        self.salvo.closed()


class Meter:
    """Processor time of the processes, from its making until `read`."""

    def __init__(self, plan: Plan) -> None:
        self._watched = {name: [psutil.Process(pid) for pid in pids] for name, pids in plan.processes.items()}
        self._watched["generator"] = [psutil.Process()]
        self._began, self._busy = self._seconds(), _busy_seconds()
        self._at = time.perf_counter()

    def _seconds(self) -> dict[str, float]:
        times = {name: [process.cpu_times() for process in found] for name, found in self._watched.items()}
        return {name: sum(taken.user + taken.system for taken in found) for name, found in times.items()}

    def read(self) -> tuple[float, dict[str, float], float]:
        """Seconds, each process' work in them, and the share of the machine that others took."""
        passed = time.perf_counter() - self._at
        worked = {name: now - self._began[name] for name, now in self._seconds().items()}
        others = _busy_seconds() - self._busy - sum(worked.values())
        return passed, worked, max(0.0, others / passed / (psutil.cpu_count() or 1))


def _busy_seconds() -> float:
    spent = psutil.cpu_times()
    return float(sum(spent) - spent.idle - getattr(spent, "iowait", 0.0) - getattr(spent, "guest", 0.0))


async def fire(plan: Plan) -> Report:
    salvo = Salvo(plan)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: salvo.blame(f"{context}"))
    for place in range(plan.connections):
        host, port = plan.addresses[place % len(plan.addresses)]
        await loop.create_connection(lambda: Caller(salvo), host, port)
    await _unless_closed(salvo, plan.warm_seconds)
    salvo.counts, meter = True, Meter(plan)
    await _unless_closed(salvo, plan.seconds)
    salvo.counts, salvo.is_over = False, True
    seconds, processor, elsewhere = meter.read()
    await _unless_closed(salvo, LAST_ANSWERS_SECONDS)
    median, late = _waits(salvo.waits)
    return Report(
        answered=salvo.answered,
        seconds=seconds,
        by_shot=salvo.by_shot,
        sent=salvo.sent,
        statuses=dict(salvo.statuses),
        wrong=salvo.wrong,
        faults=salvo.faults,
        processor=processor,
        elsewhere=elsewhere,
        median_ms=median,
        late_ms=late,
    )


async def _unless_closed(salvo: Salvo, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(salvo.all_closed.wait(), seconds)


def _waits(waits: list[float]) -> tuple[float, float]:
    """Milliseconds: the median, and what 99 of 100 stay under."""
    if len(waits) < 2:
        return 0.0, 0.0
    return statistics.median(waits) * 1_000, statistics.quantiles(waits, n=100)[98] * 1_000


def main() -> None:
    plan = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Plan)
    # Nothing here makes circles, and a collection in the middle would be somebody's slow answer.
    gc.disable()
    report = uvloop.run(fire(plan))
    sys.stdout.buffer.write(msgspec.msgpack.encode(report))


if __name__ == "__main__":
    main()
