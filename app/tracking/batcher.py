"""Group commit: while one batch is on its way new events gather, and leave together when it is acknowledged.

No timer: an idle server sends at once, a busy one sends more at a time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from app.kit import logging
from app.tracking import metrics
from app.tracking.hits import Hit

MOST_EVENTS = 1_000

log = logging.get(__name__)
# For each hit in turn whether it was new.
Record = Callable[[Sequence[Hit]], Awaitable[list[bool]]]


class NotRecordedError(Exception):
    """No store took the events."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    hits: Sequence[Hit]
    done: asyncio.Future[list[bool] | None]


class Batcher:
    """`record` gets one batch at a time, of one caller's events or of many callers'."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._waiting: deque[_Waiting] = deque()
        self._sender: asyncio.Task[None] | None = None

    async def add(self, hits: Sequence[Hit]) -> list[bool]:
        """For each hit whether it was new; NotRecordedError where nobody took them."""
        waiting = _Waiting(hits, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send_all())
        new = await waiting.done
        if new is None:
            raise NotRecordedError
        return new

    async def close(self) -> None:
        """Wait until what was handed in is recorded or given up."""
        if self._sender is not None:
            await self._sender

    async def _send_all(self) -> None:
        while self._waiting:
            await self._send(self._take())

    def _take(self) -> list[_Waiting]:
        taken = [self._waiting.popleft()]
        events = len(taken[0].hits)
        while self._waiting and events + len(self._waiting[0].hits) <= MOST_EVENTS:
            events += len(self._waiting[0].hits)
            taken.append(self._waiting.popleft())
        return taken

    async def _send(self, batch: list[_Waiting]) -> None:
        hits = [hit for waiting in batch for hit in waiting.hits]
        metrics.BATCH.observe(len(hits))
        new: list[bool] | None = None
        try:
            new = await self._record(hits)
        except Exception:  # whatever it was: those who wait must hear of it, and the next batch must leave
            log.exception("batch_not_recorded", events=len(hits))
        position = 0
        for waiting in batch:
            share = None if new is None else new[position : position + len(waiting.hits)]
            position += len(waiting.hits)
            if not waiting.done.done():
                waiting.done.set_result(share)
