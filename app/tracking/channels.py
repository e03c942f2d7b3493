"""Names of channels. Anybody may open `?ch=random`: a campaign keeps the first 200 names, all others are `other`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any
from uuid import UUID
from weakref import WeakValueDictionary

from app.kit import ids, logging
from app.kit.patience import within
from app.tracking import rules
from app.tracking.codes import KnownCampaign
from app.tracking.lookup import MOST_CHANNELS

log = logging.get(__name__)
REGISTER_SECONDS = 1.0
# After a failure: while Postgres is away, nobody waits for it because of a name.
PAUSE_SECONDS = 3.0
ATTEMPTS = 5
# Names of many campaigns at once must leave the connections that are kept for look-ups to others.
MOST_AT_ONCE = 1
RESERVED = frozenset({rules.DIRECT, rules.OTHER})

Register = Callable[[UUID, UUID, str], Coroutine[Any, Any, frozenset[str]]]


class Channels:
    """Known names come with the campaign's facts; a new one is registered before its first event is recorded."""

    def __init__(self, register: Register, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._register, self._clock = register, clock
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._turns = asyncio.Semaphore(MOST_AT_ONCE)
        self._paused_until = 0.0

    def at_hand(self, campaign: KnownCampaign, name: str) -> str | None:
        """As what `rules.channel_of` made of a name counts; None where `find` has to register it."""
        names = campaign.facts.channels
        if name in RESERVED or name in names:
            return name
        if len(names) >= MOST_CHANNELS or self._clock() < self._paused_until:
            return rules.OTHER
        return None

    async def find(self, campaign: KnownCampaign, name: str) -> str:
        """As `at_hand`, registered where it is new; `other` where there are enough, or Postgres is away."""
        found = self.at_hand(campaign, name)
        if found is not None:
            return found
        async with self._locks.setdefault(campaign.facts.campaign_id, asyncio.Lock()):
            for _ in range(ATTEMPTS):
                found = self.at_hand(campaign, name)
                if found is not None:
                    return found
                async with self._turns:
                    await self._ask(campaign, name)
        return rules.OTHER

    async def _ask(self, campaign: KnownCampaign, name: str) -> None:
        facts = campaign.facts
        merchant_id, campaign_id = ids.decode("mch", facts.merchant_id), ids.decode("cmp", facts.campaign_id)
        try:
            names = await within(REGISTER_SECONDS, self._register(merchant_id, campaign_id, name))
        except Exception:
            log.exception("channel_not_registered", campaign_id=facts.campaign_id)
            self._paused_until = self._clock() + PAUSE_SECONDS
            return
        # Of the facts as they are now: they may have been read again meanwhile.
        campaign.facts = replace(campaign.facts, channels=campaign.facts.channels | names)
