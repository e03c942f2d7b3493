"""Live counters behind the scenes: repaired from the rows, piece by piece, while events arrive."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from uuid import UUID

from app.kit import clock, logging
from app.resources import Resources
from app.tracking import live, metrics, positions, repair, rows, stream
from app.tracking.keys import shard_of
from app.worker import tracking

log = logging.get(__name__)
FIRST = UUID(int=0)
LAST = f"{2**63}-0"
DRAIN_PAUSE = 0.02


async def repair_counters(resources: Resources) -> int:
    """The campaign that has waited longest; how many there were."""
    try:
        async with resources.db.system() as session:
            request = await repair.next_request(session)
        if request is None:
            await _show_again(resources)
            return 0
        await repair_campaign(resources, request.merchant_id, request.campaign_id)
        async with resources.db.system() as session:
            await repair.finish(session, request)
    except live.AWAY as error:
        log.warning("redis_away", task="repair_counters", error=repr(error))
        return 0
    return 1


async def repair_campaign(
    resources: Resources, merchant_id: UUID, campaign_id: UUID, *, tell: Callable[[int], None] = lambda _: None
) -> None:
    """Piece by piece, each in a transaction of its own; `tell` hears how many participants each had."""
    shards, redis = resources.settings.track_shards, resources.redis
    shard = shard_of(campaign_id, shards)
    async for piece in pieces(resources, merchant_id, campaign_id):
        await _let_drain(resources, shard)
        async with resources.db.system() as session:
            await repair.participants(
                session,
                redis,
                shards,
                merchant_id=merchant_id,
                campaign_id=campaign_id,
                participants=piece,
                now=clock.utcnow(),
            )
        tell(len(piece))
    await _let_drain(resources, shard)
    async with resources.db.system() as session:
        await repair.campaign(session, redis, shards, merchant_id=merchant_id, campaign_id=campaign_id)
    metrics.REPAIRS.inc()


async def _let_drain(resources: Resources, shard: int) -> None:
    """A piece keeps its shard from being drained, and its script reads what waits while all of Redis stands still."""
    while await stream.length(resources.redis, shard) > repair.MOST_WAITING:
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


async def _show_again(resources: Resources) -> None:
    shards = resources.settings.track_shards
    for shard in range(shards):
        async with resources.db.system() as session:
            await repair.show_again(session, resources.redis, shard=shard, shards=shards)


async def catch_up(resources: Resources, seconds: float) -> bool:
    """Until what Redis has now is in Postgres and no repair is owed; False where that takes longer than `seconds`."""
    shards = range(resources.settings.track_shards)
    goals = [(await stream.read(resources.redis, shard, after=LAST)).sequence for shard in shards]
    deadline = time.monotonic() + seconds
    while not await _is_caught_up(resources, goals):
        if time.monotonic() > deadline:
            return False
        # Another worker may be at it.
        if not await tracking.drain_streams(resources) + await repair_counters(resources):
            await asyncio.sleep(0.05)
    return True


async def _is_caught_up(resources: Resources, goals: list[int]) -> bool:
    async with resources.db.system() as session:
        found = [await positions.read(session, shard) for shard in range(len(goals))]
        owed = await repair.next_request(session)
    return owed is None and all(p.rebuilt and p.sequence >= goal for p, goal in zip(found, goals, strict=True))
