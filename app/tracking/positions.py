"""How far each shard is drained, and the lock that lets one worker at a time go on from there."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit import logging
from app.tracking.stream import START, Window

log = logging.get(__name__)
# The first number is this room's, the second the shard's.
_ROOM = 7_203
# Who stops in the middle, and does not even hang up, is not waited for by the server either.
_TRY_LOCK = text("""
    SELECT set_config('idle_in_transaction_session_timeout', '60s', true), pg_try_advisory_xact_lock(:room, :shard)
""")
_LOCK = text("SELECT pg_advisory_xact_lock(:room, :shard)")
# A session that has the lock and for so long has not sent what the server waits for.
_END_SILENT = text("""
    SELECT pg_terminate_backend(a.pid) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'advisory' AND l.granted AND l.classid = :room AND l.objid = :shard AND l.objsubid = 2
          AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND a.usename = current_user AND a.pid <> pg_backend_pid() AND a.wait_event_type = 'Client'
          AND a.state_change < clock_timestamp() - make_interval(secs => :seconds)
""")
# After Redis lost some of its past: what it has now begins with any number.
UNKNOWN = -1
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

    def is_followed_by(self, window: Window) -> bool:
        """Whether nothing is missing between what is drained and what was read behind it."""
        return window.epoch == self.epoch and (self.sequence == UNKNOWN or window.follows(self.sequence))


async def try_lock(session: AsyncSession, shard: int) -> bool:
    """Until the transaction ends nobody else drains this shard. False where somebody does."""
    return bool((await session.execute(_TRY_LOCK, {"room": _ROOM, "shard": shard})).one()[1])


async def lock(session: AsyncSession, shard: int) -> None:
    await session.execute(_LOCK, {"room": _ROOM, "shard": shard})


async def end_the_silent(session: AsyncSession, shard: int, *, seconds: float) -> None:
    """Take the lock from a session whose process hangs or whose host is gone: what it had written is rolled back."""
    given = {"room": _ROOM, "shard": shard, "seconds": seconds}
    if ended := (await session.scalars(_END_SILENT, given)).all():
        log.warning("silent_sessions_ended", shard=shard, sessions=len(ended))


async def read(session: AsyncSession, shard: int) -> Position:
    row = (await session.execute(_READ, {"shard": shard})).one_or_none()
    return Position() if row is None else Position(*row)


async def save(session: AsyncSession, shard: int, position: Position) -> None:
    await session.execute(_SAVE, {"shard": shard, **asdict(position)})
