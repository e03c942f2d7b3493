"""The pieces of a turn into Postgres, two transactions at once: while one counts what it copied, the next one copies.

Copying takes about as long as counting and committing, and one connection does one thing at a time. They commit in the
order of the stream; where one does not go as it was made, those behind it are rolled back before anything else is done.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from sqlalchemy.ext.asyncio import AsyncSession

from app.kit import logging
from app.resources import Resources
from app.tracking import bulk, drain, leases, positions, stream
from app.tracking.drain import Drained
from app.tracking.pieces import Ahead, Piece
from app.tracking.positions import Position

log = logging.get(__name__)
# Nothing takes so long but what hangs.
PIECE_SECONDS = 120.0


@dataclass(slots=True)
class Leg:
    """One piece's way. `copied`: its rows are there, so that the next may copy its own; `committed`: as it was made."""

    copied: asyncio.Event = field(default_factory=asyncio.Event)
    committed: asyncio.Event = field(default_factory=asyncio.Event)


class _NotAsMadeError(Exception):
    """Some of a piece is there already, or fits no table."""

    def __init__(self, piece: Piece) -> None:
        self.piece = piece


class NotStoredError(Exception):
    """Postgres is away, or has not answered in time. Not an OSError, which here says that Redis is away."""


@asynccontextmanager
async def transaction(resources: Resources) -> AsyncIterator[AsyncSession]:
    """As *system*. NotStoredError instead of an OSError."""
    try:
        async with asyncio.timeout(PIECE_SECONDS), resources.db.system() as session:
            yield session
    except OSError as error:
        raise NotStoredError(repr(error)) from error


class Relay:
    """One shard's, for one turn."""

    def __init__(self, resources: Resources, shard: int, ahead: Ahead) -> None:
        self._resources, self._shard, self._ahead = resources, shard, ahead
        self._legs: deque[tuple[Leg, asyncio.Task[Drained | None]]] = deque()

    async def take(self, first: Piece | None = None) -> Drained | None:
        """What was stored next, and is committed. None: nothing more for now, or somebody else has the shard.

        `first`: the first piece, where it was taken already.
        """
        if not self._legs:
            self._start(None, first)
        leg, running = self._legs[0]
        self._start(leg)
        try:
            drained = await running
        except _NotAsMadeError as error:
            await self.stop()
            drained = await self._begin(replace(error.piece, copies=None), leg)
            if drained and drained.entries:
                reason = type(error.__cause__).__name__
                log.info("drained_one_by_one", shard=self._shard, events=drained.events, error=reason)
        except drain.NotNextError:
            return None
        else:
            self._legs.popleft()
        if drained and drained.entries:
            # Only now: until the commit the stream is the one place that has them.
            await stream.trim(self._resources.redis, self._shard, through=drained.through)
        return drained

    async def restart(self, after: str) -> None:
        """From another place; whatever was under way is rolled back."""
        await self.stop()
        self._ahead.start(after)

    async def stop(self) -> None:
        tasks = [task for _, task in self._legs]
        self._legs.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, before: Leg | None, piece: Piece | None = None) -> None:
        leg = Leg()
        self._legs.append((leg, asyncio.create_task(self._run(leg, before, piece))))

    async def _run(self, leg: Leg, before: Leg | None, piece: Piece | None) -> Drained | None:
        if before:
            await before.copied.wait()
        piece = piece or await self._ahead.take()
        if piece is None:
            return None
        try:
            drained = await (self._follow(piece, leg, before) if before else self._begin(piece, leg))
        except bulk.NOT_AS_THEY_ARE as error:
            raise _NotAsMadeError(piece) from error
        if drained and not drained.reread:
            leg.copied.set()
            leg.committed.set()
        return drained

    async def _begin(self, piece: Piece, leg: Leg) -> Drained | None:
        """The first one: nothing is written before the shard is ours."""
        shard, shards = self._shard, self._resources.settings.track_shards
        async with transaction(self._resources) as session:
            found = await drain.begin(session, self._resources.redis, piece, shard=shard, shards=shards)
            if isinstance(found, Position):
                await _copy(session, piece, leg)
                return await drain.finish(session, piece, found, shard=shard, shards=shards)
        if found is None:
            # Somebody repairs this shard's counters, or hangs with its lock.
            async with transaction(self._resources) as session:
                await positions.end_the_silent(session, shard, seconds=leases.LEASE_SECONDS)
        return found

    async def _follow(self, piece: Piece, leg: Leg, before: Leg) -> Drained:
        shard, shards = self._shard, self._resources.settings.track_shards
        async with transaction(self._resources) as session:
            await positions.announce(session, shard)
            await _copy(session, piece, leg)
            await before.committed.wait()
            position = await drain.follow(session, piece, shard=shard)
            return await drain.finish(session, piece, position, shard=shard, shards=shards)


async def _copy(session: AsyncSession, piece: Piece, leg: Leg) -> None:
    if piece.copies is not None:
        await bulk.copy(session, piece.copies)
        leg.copied.set()
