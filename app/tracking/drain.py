"""A shard's stream into Postgres: rows, rollups and position in one transaction; the stream is trimmed behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit import clock, logging
from app.tracking import metrics, positions, rules, store, stream
from app.tracking.hits import Hit
from app.tracking.keys import Keys, shard_of
from app.tracking.positions import Position
from app.tracking.stream import Entry, Window

log = logging.get(__name__)
# What is read at once, full batches of 1,000 too, must come over the network within the client's time-out.
MOST_ENTRIES = 64
MOST_EVENTS = 20_000
LONG_LAG_SECONDS = 30

_COUNTED = text("SELECT DISTINCT merchant_id, campaign_id FROM participant_totals")
_BEGUN = text("SELECT merchant_id, id FROM campaigns WHERE status <> 'draft'")


@dataclass(frozen=True, slots=True)
class Drained:
    """`through` may be trimmed from the stream once the transaction is committed."""

    events: int
    through: str


async def drain(session: AsyncSession, redis: Redis, *, shard: int, shards: int) -> Drained | None:
    """One piece of the stream; None where another worker has this shard. Runs as *system*."""
    if not await positions.try_lock(session, shard):
        return None
    before = await positions.read(session, shard)
    window = await stream.read(redis, shard, after=before.position, limit=MOST_ENTRIES)
    if window.epoch != before.epoch or not window.follows(before.sequence):
        await _lose_history(session, redis, before, window, shard=shard, shards=shards)
        # From the start: what was drained before is known by its ids.
        before = Position(window.epoch, sequence=window.sequence)
        await positions.save(session, shard, before)
        window = await stream.read(redis, shard, after=before.position, limit=MOST_ENTRIES)
    _tell_lag(shard, window.entries)
    if not window.entries:
        return Drained(0, before.position)
    last, hits = _unpack(window.entries, MOST_EVENTS)
    await _store(session, hits)
    await positions.save(session, shard, replace(before, position=last.id, sequence=last.sequence))
    return Drained(len(hits), last.id)


async def _store(session: AsyncSession, hits: Sequence[Hit]) -> None:
    """Redis counted each of these: where Postgres had one already, the two differ."""
    new = {hit.id for hit in await store.record(session, hits)}
    repeated = [hit for hit in hits if hit.id not in new]
    await store.ask_repairs(session, rules.campaigns(repeated))
    metrics.DRAINED.inc(len(new))
    metrics.REPEATED.inc(len(repeated))


async def _lose_history(
    session: AsyncSession, redis: Redis, before: Position, window: Window, *, shard: int, shards: int
) -> None:
    """Redis was wiped, or came back from an older state: its counters are not to be shown before they are repaired."""
    wiped = window.epoch != before.epoch
    if before.epoch:
        metrics.HISTORY_LOST.inc()
        log.error(
            "redis_lost_its_past",
            shard=shard,
            wiped=wiped,
            drained_through=before.sequence,
            found_through=window.sequence,
            consequence="events that were not drained are missing; counters are being rebuilt",
        )
    await redis.delete(Keys(shard).ready)
    # An empty Redis lacks what has rows; any other may count what has none.
    found = await session.execute(_COUNTED if wiped else _BEGUN)
    wrong = {(merchant_id, campaign_id) for merchant_id, campaign_id in found}
    await store.ask_repairs(session, {pair for pair in wrong if shard_of(pair[1], shards) == shard})


def _unpack(entries: Sequence[Entry], most: int) -> tuple[Entry, list[Hit]]:
    """Whole entries until there are `most` events, the first in any case; the last entry taken, and all hits."""
    last, hits = entries[0], entries[0].hits()
    for entry in entries[1:]:
        if len(hits) >= most:
            break
        hits += entry.hits()
        last = entry
    return last, hits


def _tell_lag(shard: int, entries: Sequence[Entry]) -> None:
    lag = stream.age_seconds(entries[0].id, clock.utcnow().timestamp() * 1000) if entries else 0.0
    metrics.LAG_SECONDS.labels(shard).set(lag)
    if lag > LONG_LAG_SECONDS:
        log.warning("tracking_lags", shard=shard, seconds=round(lag))
