"""Announcements: said in the transaction that changes something, heard by every process once it is committed."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.session import Database
from app.kit import logging

log = logging.get(__name__)
CONNECT_SECONDS = 5.0
# A connection pooler, or a network that lost one direction, swallows announcements without a word.
BEAT_SECONDS = 10.0
ECHO_SECONDS = 5.0
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
FAULTS = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, SQLAlchemyError)

_SAY = text("SELECT pg_notify(:channel, :what)")


async def announce(session: AsyncSession, channel: str, what: str) -> None:
    """Heard when this transaction commits, and never if it does not."""
    await session.execute(_SAY, {"channel": channel, "what": what})


class Listener:
    """One connection of its own for the whole life of a process.

    `turned(True)` is called when announcements begin to be heard: what was said before is unknown then; `turned(False)`
    when they may be missed. A listener that does not hear itself counts as deaf.
    """

    def __init__(
        self, db: Database, url: str, channel: str, *, heard: Callable[[str], None], turned: Callable[[bool], None]
    ) -> None:
        self._db, self._url, self._channel = db, url, channel
        self._heard, self._turned = heard, turned
        self._own_channel = f"{channel}_{secrets.token_hex(8)}"
        self._echoes: dict[str, asyncio.Future[None]] = {}
        self.up, self.down = asyncio.Event(), asyncio.Event()
        self.down.set()

    async def run(self) -> None:
        """For ever; a lost connection is made again, at first at once, then ever more patiently."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                async with self._connection() as connection:
                    await self.hear_oneself()
                    self._turn(is_up=True)
                    pause = FIRST_PAUSE_SECONDS
                    await self._watch(connection)
            except FAULTS as error:
                log.warning("announcements_unheard", channel=self._channel, error=repr(error), again_in=pause)
            finally:
                self._turn(is_up=False)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def hear_oneself(self) -> None:
        """When this returns, whatever was committed before it was called has been heard. TimeoutError where deaf."""
        token = secrets.token_hex(8)
        echo = self._echoes[token] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(ECHO_SECONDS):
                # By a connection that others cannot keep from it: who is not heard in time counts as deaf.
                async with self._db.lookup() as session:
                    await announce(session, self._own_channel, token)
                await echo
        finally:
            del self._echoes[token]

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        connection = await asyncpg.connect(self._url, timeout=CONNECT_SECONDS, command_timeout=CONNECT_SECONDS)
        try:
            await connection.add_listener(self._channel, self._hear)
            await connection.add_listener(self._own_channel, self._hear_echo)
            yield connection
        finally:
            await connection.close(timeout=1)

    async def _watch(self, connection: Any) -> None:
        """Until the connection is gone, or deaf."""
        gone = asyncio.Event()
        connection.add_termination_listener(lambda _: gone.set())
        while not connection.is_closed():
            try:
                await asyncio.wait_for(gone.wait(), BEAT_SECONDS)
            except TimeoutError:
                await self.hear_oneself()

    def _hear(self, *said: object) -> None:
        self._heard(str(said[-1]))

    def _hear_echo(self, *said: object) -> None:
        echo = self._echoes.get(str(said[-1]))
        if echo is not None and not echo.done():
            echo.set_result(None)

    def _turn(self, *, is_up: bool) -> None:
        now, before = (self.up, self.down) if is_up else (self.down, self.up)
        if not now.is_set():
            before.clear()
            now.set()
            log.info("announcements", channel=self._channel, heard=is_up)
            self._turned(is_up)
