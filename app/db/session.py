"""Where transactions begin and end. Only the edges (requests, worker tasks, commands) open them; no room commits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from app.db import driver
from app.db.engine import create_engine
from app.kit import ids
from app.kit.errors import InvitreeError
from app.settings import Settings

# Kept from everything else, so that links lead on and events are taken however busy the rest is. Codes are asked for by
# one, API keys by one, names of channels by one; the fourth is for announcements.
LOOKUP_CONNECTIONS, LOOKUP_PATIENCE_SECONDS = 4, 1.0
# For events while Redis is away; opened when the first one comes.
FALLBACK_CONNECTIONS = 3
_SET_TENANT = "SELECT set_config('invitree.merchant_id', $1, true)"


class Database:
    """Both roles' engines, and two small ones of *system* for links and events.

    Each context below is one transaction: committed at its end, rolled back by a raise. The exception is an error that
    says `kept` (see app.kit.errors): it passes on after the commit.
    """

    def __init__(self, app_url: str, system_url: str, *, pool_size: int = 10) -> None:
        self._pool_size = pool_size
        self.app_engine = create_engine(app_url, pool_size=pool_size)
        self.system_engine = create_engine(system_url, pool_size=pool_size)
        self.lookup_engine = create_engine(
            system_url, pool_size=LOOKUP_CONNECTIONS, overflow=0, patience=LOOKUP_PATIENCE_SECONDS
        )
        self.fallback_engine = create_engine(system_url, pool_size=FALLBACK_CONNECTIONS, overflow=0)
        self._app = _maker(self.app_engine)
        self._system = _maker(self.system_engine)
        self._glance = _maker(self.system_engine.execution_options(isolation_level="AUTOCOMMIT"))
        self._lookup = _maker(self.lookup_engine.execution_options(isolation_level="AUTOCOMMIT"))

    @classmethod
    def from_settings(cls, settings: Settings) -> Database:
        return cls(settings.database_url, settings.database_system_url, pool_size=settings.pool_size)

    @asynccontextmanager
    async def tenant(self, merchant_id: str) -> AsyncIterator[AsyncSession]:
        """A transaction that can see one merchant's rows only; the setting ends with the transaction."""
        async with _transaction(self._app) as session:
            await driver.fetch(session, _SET_TENANT, str(ids.decode("mch", merchant_id)))
            yield session

    @asynccontextmanager
    async def system(self) -> AsyncIterator[AsyncSession]:
        async with _transaction(self._system) as session:
            yield session

    @asynccontextmanager
    async def glance(self) -> AsyncIterator[AsyncSession]:
        """As *system*, for one read: no transaction around it, which would be two round trips more."""
        async with self._glance() as session:
            yield session

    @asynccontextmanager
    async def lookup(self) -> AsyncIterator[AsyncSession]:
        """As `glance`, on a connection that is kept for links and events."""
        async with self._lookup() as session:
            yield session

    @property
    def most_connections(self) -> int:
        """All that one process may have open, with the one that listens."""
        return 2 * 2 * self._pool_size + LOOKUP_CONNECTIONS + FALLBACK_CONNECTIONS + 1

    async def close(self) -> None:
        for engine in (self.app_engine, self.system_engine, self.lookup_engine, self.fallback_engine):
            await engine.dispose()


@asynccontextmanager
async def _transaction(maker: async_sessionmaker[AsyncSession]) -> AsyncIterator[AsyncSession]:
    """As `session.begin()` in `maker()`, which take several times as long about it."""
    session, kept = maker(), None
    try:
        try:
            yield session
        except InvitreeError as error:
            if not error.kept:
                raise
            kept = error
        await session.commit()
    except BaseException:
        # Whoever cancels this must not get between, nor go on before: the connection would be lost, or have its locks.
        closing = asyncio.ensure_future(session.close())
        while not closing.done():
            with suppress(asyncio.CancelledError):
                await asyncio.shield(closing)
        raise
    session.sync_session.close()  # the connection is back by now
    if kept is not None:
        raise kept


def _maker(engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    return async_sessionmaker(engine, expire_on_commit=False)
