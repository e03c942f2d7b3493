"""How far each shard is drained, and the lock that lets one worker at a time go on from there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit import logging
from app.kit.errors import Unavailable
from app.tracking.stream import START, Window

log = logging.get(__name__)
# The first number is this room's, the second the shard's. Of the second sort are those who copy ahead of their turn.
_ROOM, _AHEAD = 7_203, 7_205
_ROOMS = {"room": _ROOM, "ahead": _AHEAD}
# Who stops in the middle, and does not even hang up, is not waited for by the server either. The name is for those who
# wait meanwhile.
_NAMED = "set_config('idle_in_transaction_session_timeout', '60s', true), set_config('application_name', :work, true)"
_TRY_LOCK = text(f"SELECT {_NAMED}, pg_try_advisory_xact_lock(:room, :shard)")
_ANNOUNCE = text(f"SELECT {_NAMED}, pg_advisory_xact_lock_shared(:ahead, :shard)")
# In turn, but not for ever.
_LOCK = text("SELECT set_config('lock_timeout', '2s', true), pg_advisory_xact_lock(:room, :shard)")
_LOCK_TIMEOUT = "55P03"
_HOLDERS = """
    FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'advisory' AND l.granted AND l.classid IN (:room, :ahead) AND l.objid = :shard AND l.objsubid = 2
          AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND a.usename = current_user AND a.pid <> pg_backend_pid()
"""
_ALONE = text(f"SELECT NOT EXISTS (SELECT {_HOLDERS})")
_HOLDER = text(f"SELECT a.pid, a.application_name, clock_timestamp() - a.xact_start {_HOLDERS} AND l.classid = :room")
# A session that has a lock and for so long has not sent what the server waits for. Whose turn it is decides for those
# ahead of theirs, too: while it works they have nothing to send, and when it hangs they may wait for a row of it.
_END_SILENT = text(f"""
    WITH holders AS MATERIALIZED (
        SELECT a.pid, l.classid = :room AS in_turn, a.wait_event_type IS NOT DISTINCT FROM 'Client'
               AND a.state_change < clock_timestamp() - make_interval(secs => :seconds) AS silent {_HOLDERS}
    )
    SELECT pg_terminate_backend(pid) FROM holders WHERE coalesce((SELECT silent FROM holders WHERE in_turn), silent)
""")  # noqa: S608 - constants above
DRAINS, REPAIRS, COMPARES = "drains it", "repairs its counters", "compares its counters"
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


class HeldError(Unavailable):
    """Somebody else has the shard, and has had it for a while."""


async def try_lock(session: AsyncSession, shard: int, work: str = DRAINS) -> bool:
    """Until the transaction ends nobody else drains this shard. False where somebody does. `work`: what for."""
    return bool((await session.execute(_TRY_LOCK, {"room": _ROOM, "shard": shard, "work": work})).one()[2])


async def announce(session: AsyncSession, shard: int) -> None:
    """Until the transaction ends it is known to hold rows of this shard ahead of its turn."""
    await session.execute(_ANNOUNCE, {"ahead": _AHEAD, "shard": shard, "work": DRAINS})


async def is_alone(session: AsyncSession, shard: int) -> bool:
    """For who has the lock: whether nobody else holds rows still, ahead of a turn that will not come."""
    return bool(await session.scalar(_ALONE, {**_ROOMS, "shard": shard}))


async def lock(
    session: AsyncSession, shard: int, work: str = REPAIRS, *, tell: Callable[[str], None] = lambda _: None
) -> None:
    """`tell` hears who is waited for, if anybody. HeldError, with the transaction lost, where that takes seconds."""
    if await try_lock(session, shard, work):
        return
    holder = await _holder(session, shard)
    tell(holder)
    try:
        await session.execute(_LOCK, {"room": _ROOM, "shard": shard})
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _LOCK_TIMEOUT:
            raise
        raise HeldError("shard_busy", f"Somebody works on it: {holder}.", retry_after=5) from None


async def _holder(session: AsyncSession, shard: int) -> str:
    row = (await session.execute(_HOLDER, {**_ROOMS, "shard": shard})).first()
    if row is None:
        return f"shard {shard} was held until now"
    pid, work, since = row
    return f"session {pid} has had shard {shard} for {since.total_seconds():.0f} s and {work}"


async def end_the_silent(session: AsyncSession, shard: int, *, seconds: float) -> None:
    """Take the locks from sessions whose process hangs or whose host is gone: what they had written is rolled back."""
    given = {**_ROOMS, "shard": shard, "seconds": seconds}
    if ended := (await session.scalars(_END_SILENT, given)).all():
        log.warning("silent_sessions_ended", shard=shard, sessions=len(ended))


async def read(session: AsyncSession, shard: int) -> Position:
    row = (await session.execute(_READ, {"shard": shard})).one_or_none()
    return Position() if row is None else Position(*row)


async def save(session: AsyncSession, shard: int, position: Position) -> None:
    await session.execute(_SAVE, {"shard": shard, **asdict(position)})
