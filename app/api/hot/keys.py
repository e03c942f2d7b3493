"""API keys as they were a moment ago: to ask the database for each delivery costs more than to take it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from app.api.errors import is_database_away
from app.db.session import Database
from app.kit.crypto import Keyring
from app.kit.errors import Unauthorized, Unavailable
from app.kit.patience import within
from app.merchants import keys
from app.merchants.keys import Principal

# A key that was revoked works on for so long.
FRESH_SECONDS = 2.0
# Nobody has a key before it is made: what is unknown stays so, but for one that was guessed.
UNKNOWN_SECONDS = 10.0
ASK_SECONDS = 2.0
MOST_KEYS = 10_000
MOST_AT_ONCE = 500
# Not known from before, all in all.
MOST_WAITING = 2_000
NEVER = float("-inf")
Answer = Principal | Exception


@dataclass(frozen=True, slots=True)
class _Known:
    principal: Principal
    read_at: float


class KeyCache:
    """Whom a header `Authorization` lets in. While the database is away, it lets in whom it let in before.

    One look-up is on its way at a time, for all who wait, so that a flood of made-up keys costs one connection.
    """

    def __init__(self, db: Database, keyring: Keyring, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._db, self._keyring, self._clock = db, keyring, clock
        self._known: dict[bytes, _Known] = {}
        self._unknown: dict[bytes, float] = {}
        self._waiting: dict[bytes, asyncio.Future[Answer]] = {}
        self._asked: dict[bytes, asyncio.Future[Answer]] = {}
        self._asking: asyncio.Task[None] | None = None

    async def find(self, header: bytes | None) -> Principal:
        """Unauthorized `api_key_missing` or `api_key_invalid`; Unavailable where too many ask."""
        return self.at_hand(header) or await self._ask(header or b"")

    def at_hand(self, header: bytes | None) -> Principal | None:
        """As `find`; None where it has to ask."""
        known = self._known.get(header or b"")
        if known is not None and self._clock() - known.read_at < FRESH_SECONDS:
            return known.principal
        return None

    async def _ask(self, header: bytes) -> Principal:
        """Whoever of those who wait leaves meanwhile, the others are told."""
        keys.check_shape(_secret(header))
        if self._unknown.get(header, NEVER) > self._clock():
            raise keys.unknown()
        if header not in self._known and len(self._waiting) + len(self._asked) >= MOST_WAITING:
            raise Unavailable("too_many_unknown_keys", "Too many keys are being looked up. Retry.", retry_after=1)
        future = self._asked.get(header)
        if future is None:
            future = self._waiting.setdefault(header, asyncio.get_running_loop().create_future())
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_all())
        answer = await asyncio.shield(future)
        if isinstance(answer, Exception):
            raise answer.with_traceback(None)
        return answer

    async def _ask_all(self) -> None:
        while self._waiting:
            self._asked = {header: self._waiting.pop(header) for header in self._next()}
            answers: Mapping[bytes, Answer] = {}
            try:
                answers = await self._look_up(self._asked)
            finally:  # also where this task is cancelled: nobody may wait for an answer that does not come
                asked, self._asked = self._asked, {}
                for header, future in asked.items():
                    if not future.done():
                        future.set_result(answers.get(header) or ConnectionError("the look-up was given up"))

    def _next(self) -> list[bytes]:
        """Known ones first: they are to be read again, whoever makes keys up meanwhile."""
        return sorted(self._waiting, key=lambda header: header not in self._known)[:MOST_AT_ONCE]

    async def _look_up(self, headers: Collection[bytes]) -> dict[bytes, Answer]:
        read_at = self._clock()
        hashes = {header: keys.hash_key(self._keyring, _secret(header)) for header in headers}
        try:
            owners = await within(ASK_SECONDS, self._read(hashes.values()))
        except Exception as error:  # noqa: BLE001 - told to those who wait
            return {header: self._without_answer(header, error) for header in headers}
        found = {header: self._learn(header, owners.get(hashed), read_at) for header, hashed in hashes.items()}
        for kept in (self._known, self._unknown):
            while len(kept) > MOST_KEYS:
                del kept[next(iter(kept))]
        return found

    def _learn(self, header: bytes, principal: Principal | None, read_at: float) -> Answer:
        self._known.pop(header, None)
        self._unknown.pop(header, None)
        if principal is None:
            self._unknown[header] = read_at + UNKNOWN_SECONDS
            return keys.unknown()
        self._known[header] = _Known(principal, read_at)
        return principal

    def _without_answer(self, header: bytes, error: Exception) -> Answer:
        known = self._known.pop(header, None)
        if known is None or not (isinstance(error, TimeoutError) or is_database_away(error)):
            return error
        # As if it had been read just now: who asks next need not wait for a silent database again.
        self._known[header] = _Known(known.principal, self._clock())
        return known.principal

    async def _read(self, hashes: Collection[bytes]) -> dict[bytes, Principal]:
        async with self._db.lookup() as session:
            return await keys.owners(session, hashes)


def _secret(header: bytes) -> str:
    scheme, _, secret = header.decode("latin-1").partition(" ")
    if scheme.lower() != "bearer" or not secret:
        raise Unauthorized("api_key_missing", "Send `Authorization: Bearer ivt_live_…` or `ivt_test_…`.")
    return secret
