"""Runs each task again and again: at once while it finds work, else after its interval, slower while it fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from prometheus_client import Counter, Gauge

from app.kit import logging
from app.resources import Resources

log = logging.get(__name__)
T = TypeVar("T")
FAILURES = Counter("invitree_worker_failures_total", "Runs of a task that raised", ["task"])
LAST_RUN = Gauge("invitree_worker_last_success_timestamp", "When a task last ended well", ["task"])
MAX_PAUSE = 30.0


@dataclass(frozen=True, slots=True)
class Task:
    """`run` does one bounded piece in transactions of its own and returns how much it found to do."""

    name: str
    run: Callable[[Resources], Awaitable[int]]
    every_seconds: float


async def for_each_merchant(
    name: str, merchants: Iterable[tuple[str, T]], work: Callable[[str, T], Awaitable[int]]
) -> int:
    """The sum of what `work` found. One merchant's fault is logged and counted, and keeps no other from its turn."""
    found = 0
    for merchant_id, rest in merchants:
        try:
            found += await work(merchant_id, rest)
        except Exception:  # whatever it is, the next merchant's money and days do not hang on it
            FAILURES.labels(name).inc()
            log.exception("task_failed", task=name, merchant_id=merchant_id)
    return found


async def run_all(tasks: Sequence[Task], resources: Resources, stop: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as group:
        for task in tasks:
            group.create_task(_repeat(task, resources, stop), name=task.name)


async def _repeat(task: Task, resources: Resources, stop: asyncio.Event) -> None:
    failures = 0
    while not stop.is_set():
        try:
            found = await task.run(resources)
            failures = 0
            LAST_RUN.labels(task.name).set(time.time())
            pause = 0.0 if found else task.every_seconds
        except Exception:  # one failing task must not stop the others; it is logged, counted, retried
            failures += 1
            FAILURES.labels(task.name).inc()
            log.exception("task_failed", task=task.name, failures=failures)
            pause = min(MAX_PAUSE, task.every_seconds * 2**failures)
        await sleep(stop, pause)


async def sleep(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(max(seconds, 0.001)):
            await stop.wait()
