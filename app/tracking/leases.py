"""Which shards this process drains: leases that run out, so that a worker that hangs or is gone has a successor.

They are a courtesy, like any lock that outlives its transaction: what makes a drain safe is the lock in `positions`.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.session import Database
from app.kit import logging

log = logging.get(__name__)
LEASE_SECONDS = 5.0
RENEWALS = 4
_UNTIL = "clock_timestamp() + make_interval(secs => :seconds)"

_TAKE = text(f"""
    INSERT INTO stream_leases AS held (shard, holder, held_until) VALUES (:shard, :holder, {_UNTIL})
    ON CONFLICT (shard) DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until
    WHERE held.holder = excluded.holder OR held.held_until < clock_timestamp()
    RETURNING shard
""")  # noqa: S608 - constants above
_RELEASE = text("DELETE FROM stream_leases WHERE holder = :holder")
AWAY = (SQLAlchemyError, OSError)


async def take(session: AsyncSession, shard: int, holder: str) -> bool:
    """Also again by the same holder. False while another one's has not run out."""
    given = {"shard": shard, "holder": holder, "seconds": LEASE_SECONDS}
    return await session.scalar(_TAKE, given) is not None


class Leases:
    """One process's. They are renewed by using them, and while they are used: who only lives on, drains nothing."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.holder = secrets.token_hex(8)
        self._held: dict[int, float] = {}

    async def hold(self, shard: int) -> bool:
        """Whether this process may drain the shard now."""
        return self._held.get(shard, 0.0) > time.monotonic() + LEASE_SECONDS / 2 or await self._take(shard)

    @asynccontextmanager
    async def kept(self, shard: int) -> AsyncIterator[None]:
        """However long that takes: who is slow is not gone."""
        renewing = asyncio.create_task(self._renew(shard))
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.wait([renewing])

    async def release(self) -> None:
        """Others need not wait until the leases run out."""
        if self._held:
            self._held.clear()
            with suppress(*AWAY):
                async with self._db.system() as session:
                    await session.execute(_RELEASE, {"holder": self.holder})

    async def _take(self, shard: int) -> bool:
        until = time.monotonic() + LEASE_SECONDS
        async with self._db.system() as session:
            taken = await take(session, shard, self.holder)
        if taken and shard not in self._held:
            log.info("shard_taken", shard=shard, holder=self.holder)
        if taken:
            self._held[shard] = until
        else:
            self._held.pop(shard, None)
        return taken

    async def _renew(self, shard: int) -> None:
        while True:
            await asyncio.sleep(LEASE_SECONDS / RENEWALS)
            try:
                await self._take(shard)
            except AWAY as error:
                log.warning("lease_not_renewed", shard=shard, error=repr(error))
