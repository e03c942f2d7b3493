"""Group commit: while one batch is on its way new events gather, and leave together when it is acknowledged.

No timer: an idle server sends at once, a busy one sends more at a time. A batch costs Redis' answer and some hundred
microseconds of ours however small it is: as long as every turn of the loop brings further events, a small one waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from app.kit import logging
from app.tracking import metrics
from app.tracking.hits import Hit

MOST_EVENTS = 1_000
WORTH_SENDING = 16
# With both stores silent no more of them wait: each takes seconds then, and whoever comes must not wait for all.
MOST_BATCHES = 64

log = logging.get(__name__)
# For each hit in turn whether it was new.
News = list[bool]
Record = Callable[[Sequence[Hit]], Awaitable[News]]
# Told once, of one's own hits; None where no store took them.
Tell = Callable[[News | None], None]


class NotRecordedError(Exception):
    """No store took the events."""


class _Batch:
    __slots__ = ("callers", "hits")

    def __init__(self) -> None:
        self.hits: list[Hit] = []
        self.callers: list[tuple[int, int, Tell]] = []

    def tell(self, new: News | None) -> None:
        """Everybody of their own: whatever one of them does with it, the others hear it, too."""
        for first, behind, tell in self.callers:
            try:
                tell(None if new is None else new[first:behind])
            except Exception:
                log.exception("caller_not_told")


class Batcher:
    """`record` gets one batch at a time, of one caller's events or of many callers'."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._waiting: deque[_Batch] = deque()
        self._sender: asyncio.Task[None] | None = None

    def put(self, hits: Sequence[Hit], tell: Tell) -> None:
        """Hand in what is to be recorded; `tell` is called when that is done, or given up."""
        batch = self._room_for(len(hits))
        if batch is None:
            tell(None)
            return
        first = len(batch.hits)
        batch.hits += hits
        batch.callers.append((first, len(batch.hits), tell))

    async def add(self, hits: Sequence[Hit]) -> News:
        """For each hit whether it was new; NotRecordedError where nobody took them."""
        told: asyncio.Future[News | None] = asyncio.get_running_loop().create_future()
        # Whoever went away meanwhile is not there to be told.
        self.put(hits, lambda new: None if told.done() else told.set_result(new))
        new = await told
        if new is None:
            raise NotRecordedError
        return new

    async def close(self) -> None:
        """Wait until what was handed in is recorded or given up."""
        if self._sender is not None:
            await asyncio.wait([self._sender])

    def _room_for(self, events: int) -> _Batch | None:
        """The batch that gathers; another one behind it where these would be too many."""
        if self._waiting and len(self._waiting[-1].hits) + events <= MOST_EVENTS:
            return self._waiting[-1]
        if len(self._waiting) >= MOST_BATCHES:
            return None
        batch = _Batch()
        self._waiting.append(batch)
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send_all())
        return batch

    async def _send_all(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                await _gathered(self._waiting[0].hits)
                batch, new = self._waiting.popleft(), None
                try:
                    new = await self._send(batch.hits)
                finally:
                    # A turn later: the next batch is on its way to the store meanwhile.
                    loop.call_soon(batch.tell, new)
        finally:  # also where this task is cancelled: nobody may wait for what does not come
            while self._waiting:
                loop.call_soon(self._waiting.popleft().tell, None)

    async def _send(self, hits: list[Hit]) -> News | None:
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
