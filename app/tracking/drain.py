"""A shard's stream into Postgres: rows, rollups and position in one transaction; the stream is trimmed behind it.

A piece is stored in three steps: `begin`, `bulk.copy` where there is much of it, `finish`. During the third the next
piece may be copied already, in another transaction: `bulk.copy`, `follow`, `finish`. Runs as *system*.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from uuid import UUID

from redis.asyncio import Redis
from sqlalchemy import TextClause, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit import logging
from app.tracking import bulk, metrics, positions, rules, set_aside, store
from app.tracking.hits import Hit
from app.tracking.keys import Keys, shard_of
from app.tracking.pieces import Piece
from app.tracking.positions import Position
from app.tracking.stream import START, Entry

log = logging.get(__name__)

_COUNTED = text("SELECT DISTINCT merchant_id, campaign_id FROM participant_totals")
_BEGUN = text("SELECT merchant_id, id FROM campaigns WHERE status <> 'draft'")


@dataclass(frozen=True, slots=True)
class Drained:
    """`through` may be trimmed from the stream once the transaction is committed; `reread`: what was made of the stream
    behind it is to be made anew."""

    entries: int
    events: int
    through: str
    reread: bool = False


class NotNextError(Exception):
    """Somebody else has the shard, or it is drained to another place than the piece begins behind."""


async def begin(
    session: AsyncSession, redis: Redis, piece: Piece, *, shard: int, shards: int
) -> Position | Drained | None:
    """The shard is this transaction's: how far it is drained.

    None where somebody else has it. `Drained` where the piece is not what comes next: nothing more is to be stored.
    """
    if not (await positions.try_lock(session, shard) and await positions.is_alone(session, shard)):
        return None
    before = await positions.read(session, shard)
    if piece.after != before.position:
        return Drained(0, 0, before.position, reread=True)
    if not before.is_followed_by(piece.window):
        await _lose_history(session, redis, before, piece, shard=shard, shards=shards)
        # From the start: what was drained before is known by its ids.
        await positions.save(session, shard, Position(piece.window.epoch, START, positions.UNKNOWN))
        return Drained(0, 0, START, reread=True)
    return before


async def follow(session: AsyncSession, piece: Piece, *, shard: int) -> Position:
    """As `begin`, for a piece that was copied before it was known to be the next; NotNextError where it is not."""
    if await positions.try_lock(session, shard):
        before = await positions.read(session, shard)
        if piece.after == before.position and before.is_followed_by(piece.window):
            return before
    raise NotNextError


async def finish(session: AsyncSession, piece: Piece, before: Position, *, shard: int, shards: int) -> Drained:
    """Count what was copied, or store what was not, event by event; and how far the shard is drained now."""
    if not piece.entries:
        await positions.save(session, shard, replace(before, sequence=piece.window.sequence))
        return Drained(0, 0, before.position)
    unreadable = dict(piece.unreadable)
    if piece.copies is not None:
        await bulk.count(session)
        metrics.DRAINED.inc(piece.events)
    elif piece.events:
        unreadable |= await _store_each(session, piece.readable())
    if unreadable:
        refused = [(entry, unreadable[entry.id]) for entry in piece.entries if entry.id in unreadable]
        await set_aside.keep(session, shard, refused)
        # Redis may have counted what has no rows now.
        await store.ask_repairs(session, await _campaigns(session, _BEGUN, shard, shards))
    last = piece.entries[-1]
    sequence = piece.window.last_sequence(before.sequence)
    await positions.save(session, shard, replace(before, position=last.id, sequence=sequence))
    # Later pieces were made as if all of this one were there.
    return Drained(len(piece.entries), piece.events, last.id, reread=piece.full and piece.copies is None)


async def _store_each(session: AsyncSession, entries: Iterable[Entry]) -> dict[str, str]:
    """All at once or, where one is refused, entry by entry; why those were refused that no table takes."""
    taken = list(entries)
    try:
        async with session.begin_nested():
            await _store_hits(session, [hit for entry in taken for hit in entry.hits()])
    except DBAPIError as error:
        if not set_aside.is_about_content(error):
            raise
        if len(taken) == 1:
            return {taken[0].id: repr(error.orig)}
    else:
        return {}
    refused: dict[str, str] = {}
    for entry in taken:
        refused |= await _store_each(session, [entry])
    return refused


async def _store_hits(session: AsyncSession, hits: list[Hit]) -> None:
    """Redis counted each of these: where Postgres had one already, the two differ."""
    new = {hit.id for hit in await store.record(session, hits)}
    repeated = [hit for hit in hits if hit.id not in new]
    await store.ask_repairs(session, rules.campaigns(repeated))
    metrics.DRAINED.inc(len(new))
    metrics.REPEATED.inc(len(repeated))


async def _lose_history(
    session: AsyncSession, redis: Redis, before: Position, piece: Piece, *, shard: int, shards: int
) -> None:
    """Redis was wiped, or came back from an older state: its counters are not to be shown before they are repaired."""
    window = piece.window
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
    await store.ask_repairs(session, await _campaigns(session, _COUNTED if wiped else _BEGUN, shard, shards))


async def _campaigns(session: AsyncSession, statement: TextClause, shard: int, shards: int) -> set[tuple[UUID, UUID]]:
    found = {(merchant_id, campaign_id) for merchant_id, campaign_id in await session.execute(statement)}
    return {pair for pair in found if shard_of(pair[1], shards) == shard}
