"""Group commit: while one batch is on its way new events gather, and leave together when it is acknowledged.

No timer: an idle server sends at once, a busy one sends more at a time. A batch costs Redis' answer and some hundred
microseconds of ours however small it is: as long as every turn of the loop brings further events, a small one waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from app.kit import logging
from app.tracking import metrics
from app.tracking.hits import Hit

MOST_EVENTS = 1_000
WORTH_SENDING = 16
# With both stores silent no more of them wait: each takes seconds then, and whoever comes must not wait for all.
MOST_BATCHES = 64

log = logging.get(__name__)
# For each hit in turn whether it was new.
Record = Callable[[Sequence[Hit]], Awaitable[list[bool]]]


class NotRecordedError(Exception):
    """No store took the events."""


class Acknowledgement(asyncio.Future[list[bool] | None]):
    """For each hit of a batch whether it was new; None where no store took them. All callers of the batch share it."""

    def cancel(self, msg: Any = None) -> bool:  # noqa: ARG002 - as the future has it
        """Never: one who goes away would take it from all the others. That task ends when the batch has."""
        return False


class _Batch:
    __slots__ = ("done", "hits")

    def __init__(self) -> None:
        self.hits: list[Hit] = []
        self.done = Acknowledgement()


class Batcher:
    """`record` gets one batch at a time, of one caller's events or of many callers'."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._waiting: deque[_Batch] = deque()
        self._sender: asyncio.Task[None] | None = None

    def put(self, hit: Hit) -> Acknowledgement:
        """Hand in one hit; what is given back is the whole batch's."""
        batch = self._room_for(1)
        batch.hits.append(hit)
        return batch.done

    async def add(self, hits: Sequence[Hit]) -> list[bool]:
        """For each hit whether it was new; NotRecordedError where nobody took them."""
        batch = self._room_for(len(hits))
        first = len(batch.hits)
        batch.hits += hits
        new = await batch.done
        if new is None:
            raise NotRecordedError
        return new[first : first + len(hits)]

    async def close(self) -> None:
        """Wait until what was handed in is recorded or given up."""
        if self._sender is not None:
            await self._sender

    def _room_for(self, events: int) -> _Batch:
        """The batch that gathers; another one behind it where these would be too many."""
        if self._waiting and len(self._waiting[-1].hits) + events <= MOST_EVENTS:
            return self._waiting[-1]
        batch = _Batch()
        if len(self._waiting) >= MOST_BATCHES:
            batch.done.set_result(None)
            return batch
        self._waiting.append(batch)
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send_all())
        return batch

    async def _send_all(self) -> None:
        while self._waiting:
            await _gathered(self._waiting[0].hits)
            batch = self._waiting.popleft()
            batch.done.set_result(await self._send(batch.hits))

    async def _send(self, hits: list[Hit]) -> list[bool] | None:
        metrics.BATCH.observe(len(hits))
        try:
            return await self._record(hits)
        except Exception:  # whatever it was: those who wait must hear of it, and the next batch must leave
            log.exception("batch_not_recorded", events=len(hits))
            return None


async def _gathered(hits: Sequence[Hit]) -> None:
    """Until there are enough, or a turn of the loop has brought no more."""
    before = 0
    while before < len(hits) < WORTH_SENDING:
        before = len(hits)
        await asyncio.sleep(0)
