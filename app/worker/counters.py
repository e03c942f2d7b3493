"""Live counters behind the scenes: repaired from the rows, piece by piece, while events arrive."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from functools import partial
from uuid import UUID

from app.kit import clock, logging
from app.resources import Resources
from app.tracking import live, metrics, positions, repair, rows, stream
from app.tracking.keys import shard_of
from app.tracking.repair import Request
from app.tracking.stream import Window
from app.worker import away as redis_away
from app.worker import tracking
from app.worker.held import Waits, nobody, on_shard

log = logging.get(__name__)
FIRST = UUID(int=0)
LAST = f"{2**63}-0"
DRAIN_PAUSE = 0.02
# Before a piece is tried again: of a large campaign's thousands one or the other meets a Redis that is slow just then,
# and its repair must not begin anew each time.
PAUSES = (0.1, 0.4)


async def repair_counters(resources: Resources) -> int:
    """The campaign that has waited longest, of those whose part of Redis is there; how many there were."""
    away: set[int] = set()
    while (request := await _next_request(resources, away)) is not None:
        try:
            await repair_campaign(resources, request.merchant_id, request.campaign_id)
        except live.AWAY as error:
            shard = shard_of(request.campaign_id, resources.settings.track_shards)
            redis_away.tell(resources, error, task="repair_counters", shard=shard)
            away.add(shard)
        else:
            async with resources.db.system() as session:
                await repair.finish(session, request)
            return 1
    await _show_again(resources, away)
    return 0


async def _next_request(resources: Resources, away: Collection[int]) -> Request | None:
    async with resources.db.system() as session:
        return await repair.next_request(session, shards=resources.settings.track_shards, without=away)


async def repair_campaign(
    resources: Resources,
    merchant_id: UUID,
    campaign_id: UUID,
    *,
    tell: Callable[[int], None] = lambda _: None,
    waits: Waits = nobody,
) -> None:
    """Piece by piece, each in a transaction of its own; `tell` hears how many participants each had."""
    shards, redis = resources.settings.track_shards, resources.redis
    shard, own = shard_of(campaign_id, shards), {"merchant_id": merchant_id, "campaign_id": campaign_id}
    held = partial(on_shard, resources, shard, waits=waits)

    async def repair_participants(piece: list[UUID]) -> None:
        await _let_drain(resources, shard, waits)
        now = clock.utcnow()
        await held(lambda session: repair.participants(session, redis, shards, **own, participants=piece, now=now))

    async def repair_sums() -> None:
        await _let_drain(resources, shard, waits)
        await held(lambda session: repair.campaign(session, redis, shards, **own))

    async for piece in pieces(resources, merchant_id, campaign_id):
        await _insist(partial(repair_participants, piece))
        tell(len(piece))
    await _insist(repair_sums)
    metrics.REPAIRS.inc()


async def _insist(work: Callable[[], Awaitable[None]]) -> None:
    """Exact as of when it is done, so it may be done once more where nobody knows whether it was."""
    for pause in PAUSES:
        try:
            await work()
        except live.AWAY as error:
            log.info("piece_repaired_again", error=repr(error))
            await asyncio.sleep(pause)
        else:
            return
    await work()


async def _let_drain(resources: Resources, shard: int, waits: Waits) -> None:
    """A piece keeps its shard from being drained, and its script reads what waits while all of Redis stands still."""
    while not await repair.is_near(resources.redis, shard):
        waits(f"much is still to be drained of shard {shard}")
        if not await tracking.drain_shard(resources, shard):
            await asyncio.sleep(DRAIN_PAUSE)


async def pieces(resources: Resources, merchant_id: UUID, campaign_id: UUID) -> AsyncIterator[list[UUID]]:
    """A campaign's participants, some at a time."""
    after = FIRST
    while True:
        async with resources.db.system() as session:
            piece = await rows.participants_after(session, merchant_id, campaign_id, after=after, most=repair.PIECE)
        if piece:
            yield piece
        if len(piece) < repair.PIECE:
            return
        after = piece[-1]


async def _show_again(resources: Resources, away: Collection[int]) -> None:
    shards = resources.settings.track_shards
    for shard in set(range(shards)).difference(away):
        try:
            async with resources.db.system() as session:
                await repair.show_again(session, resources.redis, shard=shard, shards=shards)
        except positions.HeldError:
            log.info("shown_again_later", shard=shard)
        except live.AWAY as error:
            redis_away.tell(resources, error, task="repair_counters", shard=shard)
        else:
            redis_away.is_back(resources, task="repair_counters", shard=shard)


async def catch_up(resources: Resources, seconds: float, *, waits: Waits = nobody) -> bool:
    """Until what Redis has now is in Postgres and no repair is owed; False where that takes longer than `seconds`."""
    shards = range(resources.settings.track_shards)
    goals = [await stream.read(resources.redis, shard, after=LAST) for shard in shards]
    deadline = time.monotonic() + seconds
    while not await _is_caught_up(resources, goals):
        if time.monotonic() > deadline:
            return False
        waits("streams are drained, and counters repaired that others have asked for")
        # Another worker may be at it.
        if not await tracking.drain_streams(resources) + await repair_counters(resources):
            await asyncio.sleep(0.05)
    waits(None)
    return True


async def _is_caught_up(resources: Resources, goals: list[Window]) -> bool:
    async with resources.db.system() as session:
        found = [await positions.read(session, shard) for shard in range(len(goals))]
        owed = await repair.next_request(session)
    return owed is None and all(
        # A Redis that was wiped counts from 1 again.
        place.rebuilt and place.epoch == goal.epoch and place.sequence >= goal.sequence
        for place, goal in zip(found, goals, strict=True)
    )
