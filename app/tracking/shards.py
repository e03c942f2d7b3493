"""Into how many shards campaigns are spread: a number of the database, to which every process agrees before it counts.

Another number would count into other keys, and drain and repair others. Who changes it holds a lock that keeps all from
starting, and sees by their sessions those that run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.session import Database
from app.kit.errors import Conflict, Unavailable
from app.tracking import lookup

# Any number that no other lock has.
_LOCK_NUMBER = 7_204
AWAY = (SQLAlchemyError, asyncpg.PostgresError, OSError, Unavailable)

_STORED = "SELECT shards FROM shard_counts ORDER BY version DESC LIMIT 1"
# The lock is given back with the statement's end; who takes it for good from then on sees this session.
_TRY_SHARED = f"SELECT pg_try_advisory_xact_lock_shared({_LOCK_NUMBER})"
_FIRST = "INSERT INTO shard_counts (version, shards, actor) VALUES (1, $1, 'first_start') ON CONFLICT DO NOTHING"
# However long it is silent while others drain: some servers end a session for that.
_TRY_LOCK = text(f"""
    SELECT set_config('idle_in_transaction_session_timeout', '0', true), pg_try_advisory_xact_lock({_LOCK_NUMBER})
""")
_HERE = text("SELECT")
_CHANGE = text("""
    INSERT INTO shard_counts (version, shards, actor)
    SELECT coalesce(max(version), 0) + 1, :shards, :actor FROM shard_counts
""")
_FORGET = (text("DELETE FROM stream_positions"), text("DELETE FROM stream_leases"))
_OTHERS = text("""
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND usename IN ('invitree_app', 'invitree_system') AND pid <> pg_backend_pid()
""")


@dataclass(slots=True)
class Agreement:
    """Of one process, on its number; asked for until it is reached."""

    db: Database
    shards: int
    is_reached: bool = False

    async def require(self) -> None:
        """Conflict where the database has another number, or is getting another one. The first to ask gives it theirs.

        What AWAY names where the database cannot be asked.
        """
        if self.is_reached:
            return
        async with lookup.opened(self.db) as connection:
            found = await _ask(connection)
            if found is None:
                await connection.execute(_FIRST, self.shards)
                found = await _ask(connection)
        if found != self.shards:
            raise _differ(found, self.shards)
        self.is_reached = True

    async def require_now(self) -> None:
        """For who is asked to count or to show something: Unavailable instead of Conflict."""
        try:
            await self.require()
        except Conflict as error:
            raise Unavailable(error.code, error.detail) from None


async def _ask(connection: Any) -> int | None:
    if not await connection.fetchval(_TRY_SHARED):
        raise _changing()
    # Only then: a statement sees what was there before it had the lock.
    found = await connection.fetchval(_STORED)
    return None if found is None else int(found)


async def stored(session: AsyncSession) -> int | None:
    """None before the first start."""
    found = await session.scalar(text(_STORED))
    return None if found is None else int(found)


async def keep_others_out(session: AsyncSession) -> None:
    """Until this transaction ends no process starts. Conflict where somebody does this already, or one runs."""
    if not (await session.execute(_TRY_LOCK)).one()[1]:
        raise _changing()
    if others := await count_others(session):
        raise Conflict(
            "processes_running",
            f"Other processes have {others} sessions in the database. Stop every API, worker and command first.",
        )


async def require_kept_out(session: AsyncSession) -> None:
    """What AWAY names where the session was ended meanwhile, and others may have started."""
    await session.execute(_HERE)


async def count_others(session: AsyncSession) -> int:
    """Sessions, to be asked for by a process that has no second one yet."""
    return int(await session.scalar(_OTHERS) or 0)


async def change(session: AsyncSession, *, shards: int, actor: str) -> None:
    """Nothing of Redis is known afterwards: whoever drains first asks for all repairs."""
    await session.execute(_CHANGE, {"shards": shards, "actor": actor})
    for statement in _FORGET:
        await session.execute(statement)


def _differ(found: int | None, own: int) -> Conflict:
    return Conflict(
        "track_shards_differ",
        f"TRACK_SHARDS is {own}, and the database's number of shards is {found}. Start with TRACK_SHARDS={found}, or "
        f"stop every API and worker and run `invitree counters shards {own} --execute`.",
    )


def _changing() -> Conflict:
    return Conflict(
        "track_shards_changing",
        "`invitree counters shards` is at work. Start again when it has ended.",
    )
