"""Invite codes and where they lead, remembered in the process for a few seconds."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from app.kit import logging
from app.tracking.hits import Target

log = logging.get(__name__)
FRESH_SECONDS = 3.0
MOST_CODES = 50_000


@dataclass(frozen=True, slots=True)
class Destination:
    """A participant's link: whose it is, where it leads, and what its campaign's life hangs on."""

    target: Target
    merchant_id: str
    campaign_id: str
    status: str
    starts_at: datetime | None
    ends_at: datetime | None
    ended_at: datetime | None
    clock_offset_seconds: int


Found = dict[str, Destination]
Lookup = Callable[[list[str]], Awaitable[Found]]


class CodeCache:
    """Bounded, each answer good for a few seconds, unknown codes too: those apart, so that guessing evicts nothing.

    When the look-up fails, an answer that is past its time is better than none.
    """

    def __init__(self, lookup: Lookup, *, clock: Callable[[], float] = time.monotonic, most: int = MOST_CODES) -> None:
        self._lookup, self._clock, self._most = lookup, clock, most
        self._known: dict[str, tuple[float, Destination]] = {}
        self._unknown: dict[str, float] = {}

    async def find(self, code: str) -> Destination | None:
        return (await self.find_many([code])).get(code)

    async def find_many(self, codes: Iterable[str]) -> Found:
        """Destinations of those codes that there are."""
        wanted, now = set(codes), self._clock()
        stale = sorted(code for code in wanted if not self._is_fresh(code, now))
        if stale:
            await self._refresh(stale, now)
        return {code: self._known[code][1] for code in wanted if code in self._known}

    def _is_fresh(self, code: str, now: float) -> bool:
        read_at = self._known[code][0] if code in self._known else self._unknown.get(code)
        return read_at is not None and now - read_at < FRESH_SECONDS

    async def _refresh(self, codes: list[str], now: float) -> None:
        try:
            found = await self._lookup(codes)
        except Exception as error:
            if any(code not in self._known for code in codes):
                raise
            log.warning("codes_not_refreshed", error=repr(error))
            found = {code: self._known[code][1] for code in codes}
        for code in codes:
            self._known.pop(code, None)
            self._unknown.pop(code, None)
            if code in found:
                self._known[code] = (now, found[code])
            else:
                self._unknown[code] = now
        self._shrink()

    def _shrink(self) -> None:
        """Oldest first: a dict keeps the order in which answers came."""
        for cache in (self._known, self._unknown):
            while len(cache) > self._most:
                cache.pop(next(iter(cache)))
