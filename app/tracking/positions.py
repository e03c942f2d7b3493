"""How far each shard is drained, and the lock that lets one worker at a time go on from there."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.tracking.stream import START

# The first number is this room's, the second the shard's.
_ROOM = 7_203
_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:room, :shard)")
_LOCK = text("SELECT pg_advisory_xact_lock(:room, :shard)")
_READ = text("SELECT epoch, position, sequence, rebuilt FROM stream_positions WHERE shard = :shard")
_SAVE = text("""
    INSERT INTO stream_positions (shard, epoch, position, sequence, rebuilt)
    VALUES (:shard, :epoch, :position, :sequence, :rebuilt)
    ON CONFLICT (shard) DO UPDATE SET epoch = excluded.epoch, position = excluded.position,
        sequence = excluded.sequence, rebuilt = excluded.rebuilt
""")


@dataclass(frozen=True, slots=True)
class Position:
    """The stream is drained through entry `position`, the `sequence`-th of this `epoch`."""

    epoch: str = ""
    position: str = START
    sequence: int = 0
    rebuilt: bool = False


async def try_lock(session: AsyncSession, shard: int) -> bool:
    """Until the transaction ends nobody else drains this shard. False where somebody does."""
    return bool(await session.scalar(_TRY_LOCK, {"room": _ROOM, "shard": shard}))


async def lock(session: AsyncSession, shard: int) -> None:
    await session.execute(_LOCK, {"room": _ROOM, "shard": shard})


async def read(session: AsyncSession, shard: int) -> Position:
    row = (await session.execute(_READ, {"shard": shard})).one_or_none()
    return Position() if row is None else Position(*row)


async def save(session: AsyncSession, shard: int, position: Position) -> None:
    await session.execute(_SAVE, {"shard": shard, **asdict(position)})
