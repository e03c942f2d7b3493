"""Group commit: while batches are on their way new events gather, and leave together when one is acknowledged.

No timer: an idle server sends at once, a busy one sends more at a time. There are a few lanes with one batch each. With
a single one server and store would take turns: everybody waits for the batch, then everybody is answered, and comes
again. So a batch that has enough is closed as long as a lane is free, and what comes behind it takes the next.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice

from app.kit import logging
from app.kit.outages import Outages
from app.tracking import metrics
from app.tracking.hits import Hit

MOST_EVENTS = 1_000
LANES = 3
# A batch costs Redis' answer and some of our time however small it is: as long as every turn of the loop brings further
# events, one that is not worth it waits.
WORTH_SENDING, ENOUGH = 16, 32
# No more of them wait while no store takes any, or the stores are too slow for what comes: whoever waits longer than
# callers do is recorded for nobody.
MOST_BATCHES, LONGEST_SECONDS = 64, 2.0
# Among large deliveries a click goes with one of the batches that leave next, which keep room for so many.
FEW, ROOM_FOR_FEW = 4, 250

log = logging.get(__name__)
# For each hit in turn whether it was new.
News = list[bool]
Record = Callable[[Sequence[Hit]], Awaitable[News]]
# Told once, of one's own hits; None where no store took them.
Tell = Callable[[News | None], None]


class NotRecordedError(Exception):
    """No store took the events."""


class _Batch:
    __slots__ = ("began", "callers", "hits")

    def __init__(self) -> None:
        self.began = time.monotonic()
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
    """`record` gets one caller's events or many callers', and some batches at once."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._waiting: deque[_Batch] = deque()
        self._senders: set[asyncio.Task[None]] = set()
        self._was_refused, self._outages = False, Outages()

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
        while self._senders:
            await asyncio.wait(self._senders)

    def _room_for(self, events: int) -> _Batch | None:
        """The batch that gathers; another one where these would be too many. None where stores lag behind."""
        waiting, has_lane = self._waiting, len(self._senders) < LANES
        if waiting:
            if events <= FEW and len(waiting) > LANES:
                for batch in islice(waiting, LANES):
                    if len(batch.hits) < MOST_EVENTS + ROOM_FOR_FEW:
                        return batch
            if len(waiting[-1].hits) + events <= (ENOUGH if has_lane else MOST_EVENTS):
                return waiting[-1]
            if len(waiting) >= MOST_BATCHES and (self._was_refused or self._has_waited_long()):
                return None
        batch = _Batch()
        waiting.append(batch)
        if has_lane:
            sender = asyncio.create_task(self._send_all())
            self._senders.add(sender)
            sender.add_done_callback(self._has_ended)
        return batch

    def _has_waited_long(self) -> bool:
        return time.monotonic() - self._waiting[0].began > LONGEST_SECONDS

    async def _send_all(self) -> None:
        """One lane, as long as somebody waits."""
        loop = asyncio.get_running_loop()
        while self._waiting:
            await _gathered(self._waiting[0].hits)
            if not self._waiting:
                break  # another lane took it
            batch, new = self._waiting.popleft(), None
            try:
                new = await self._send(batch.hits)
            finally:
                # A turn later: the next batch is on its way to the store meanwhile.
                loop.call_soon(batch.tell, new)
        # At once, and not when the loop comes to it: who comes next must not wait for this lane.
        self._senders.remove(asyncio.current_task())  # type: ignore[arg-type]  # there is one

    def _has_ended(self, sender: asyncio.Task[None]) -> None:
        """By itself or, where the process ends, cancelled: nobody may wait for what does not come."""
        self._senders.discard(sender)
        while self._waiting and not self._senders:
            self._waiting.popleft().tell(None)

    async def _send(self, hits: list[Hit]) -> News | None:
        metrics.BATCH.observe(len(hits))
        try:
            new = await self._record(hits)
        except Exception:  # whatever it was: those who wait must hear of it, and the next batch must leave
            self._was_refused = True
            if self._outages.is_news("stores"):
                log.exception("batch_not_recorded", events=len(hits))
            return None
        self._was_refused = False
        if (seconds := self._outages.ended("stores")) is not None:
            log.info("batches_recorded_again", after_seconds=round(seconds, 1))
        return new


async def _gathered(hits: Sequence[Hit]) -> None:
    """Until there are enough, or a turn of the loop has brought no more."""
    before = 0
    while before < len(hits) < WORTH_SENDING:
        before = len(hits)
        await asyncio.sleep(0)
