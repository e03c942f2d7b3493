"""API keys as they were a moment ago: to ask the database for each delivery costs more than to take it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from app.api.errors import is_database_away
from app.db.session import Database
from app.kit.crypto import Keyring
from app.kit.errors import Unauthorized
from app.kit.patience import within
from app.merchants import keys
from app.merchants.keys import Principal

# A key that was revoked works on for so long.
FRESH_SECONDS = 2.0
ASK_SECONDS = 2.0
MOST_KEYS = 10_000


@dataclass(frozen=True, slots=True)
class _Known:
    principal: Principal
    read_at: float


class KeyCache:
    """Whom a header `Authorization` lets in. While the database is away, it lets in whom it let in before."""

    def __init__(self, db: Database, keyring: Keyring, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._db, self._keyring, self._clock = db, keyring, clock
        self._known: dict[bytes, _Known] = {}
        self._asking: dict[bytes, asyncio.Task[Principal]] = {}

    async def find(self, header: bytes | None) -> Principal:
        """Unauthorized `api_key_missing` or `api_key_invalid`."""
        return self.at_hand(header) or await self._ask(header or b"")

    def at_hand(self, header: bytes | None) -> Principal | None:
        """As `find`; None where it has to ask."""
        known = self._known.get(header or b"")
        if known is not None and self._clock() - known.read_at < FRESH_SECONDS:
            return known.principal
        return None

    async def _ask(self, header: bytes) -> Principal:
        """One question for all who wait, whoever of them leaves meanwhile."""
        task = self._asking.get(header)
        if task is None:
            task = self._asking[header] = asyncio.create_task(self._look_up(header))
            task.add_done_callback(lambda _: self._asking.pop(header))
        return await asyncio.shield(task)

    async def _look_up(self, header: bytes) -> Principal:
        scheme, _, secret = header.decode("latin-1").partition(" ")
        if scheme.lower() != "bearer" or not secret:
            raise Unauthorized("api_key_missing", "Send `Authorization: Bearer ivt_live_…` or `ivt_test_…`.")
        read_at, known = self._clock(), self._known.get(header)
        try:
            principal = await within(ASK_SECONDS, self._read(secret))
        except Exception as error:
            is_away = isinstance(error, TimeoutError) or is_database_away(error)
            if known is None or not is_away:
                self._known.pop(header, None)
                raise
            # As if it had been read just now: who asks next need not wait for a silent database again.
            principal, read_at = known.principal, self._clock()
        self._known.pop(header, None)
        self._known[header] = _Known(principal, read_at)
        if len(self._known) > MOST_KEYS:
            del self._known[next(iter(self._known))]
        return principal

    async def _read(self, secret: str) -> Principal:
        async with self._db.system() as session:
            return await keys.authenticate(session, secret=secret, keyring=self._keyring)
