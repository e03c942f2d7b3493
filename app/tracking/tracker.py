"""What a process keeps for tracking: known codes, channels, and a batcher for each shard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from functools import partial
from operator import attrgetter

from redis.asyncio import Redis

from app.db.session import Database
from app.tracking import lookup, metrics, rules
from app.tracking.batcher import Batcher, Tell
from app.tracking.channels import Channels
from app.tracking.codes import CampaignKey, CodeCache, KnownCampaign, Reply
from app.tracking.figures import Figures
from app.tracking.hits import Hit
from app.tracking.keys import shard_of
from app.tracking.recorder import Recorder
from app.tracking.shards import Agreement
from app.tracking.visitors import Visitors

_OUTCOME = attrgetter("outcome")


class Tracker:
    """`secret` keys the visitors' cookies and hashes. Opens nothing before the first event.

    No code is known, so nothing counted, before the database has agreed to `shards`.
    """

    def __init__(self, db: Database, redis: Redis, *, shards: int, secret: bytes) -> None:
        self._db, self.shards = db, shards
        self.agreement = Agreement(db, shards)
        self.visitors = Visitors(secret)
        self.codes = CodeCache(self._find)
        self.channels = Channels(partial(lookup.register_channel, db))
        self._recorders = [Recorder(db, redis, shard) for shard in range(shards)]
        self.figures = Figures(redis, shards, is_bypassed=self._is_bypassed)
        self._batchers = [Batcher(partial(_record, recorder)) for recorder in self._recorders]

    async def channel(self, campaign: KnownCampaign, given: str, *, is_new_allowed: bool = True) -> str:
        """Under which name an event that came with this one is counted."""
        name = rules.channel_of(given)
        known = self.channels.at_hand(campaign, name)
        if known is not None or not is_new_allowed:
            return known or rules.OTHER
        return await self.channels.find(campaign, name)

    def hand_in(self, hits: Sequence[Hit], tell: Tell) -> bool:
        """As `record`, for who need not wait: `tell` hears for each hit whether it was new, None where no store took
        them. False, with nothing done, where they are of several shards.
        """
        shard = 0
        if self.shards > 1:
            shard, *others = {shard_of(hit.target.campaign_id, self.shards) for hit in hits} or {0}
            if others:
                return False
        self._batchers[shard].put(hits, tell)
        return True

    async def record(self, hits: Sequence[Hit]) -> list[bool]:
        """For each hit whether it was new, when it is recorded for good. NotRecordedError where no store took one."""
        if self.shards == 1:
            return await self._batchers[0].add(hits) if hits else []
        by_shard: dict[int, list[int]] = {}
        for place, hit in enumerate(hits):
            by_shard.setdefault(shard_of(hit.target.campaign_id, self.shards), []).append(place)
        new = [False] * len(hits)
        for shard, places in by_shard.items():
            answers = await self._batchers[shard].add([hits[place] for place in places])
            for place, answer in zip(places, answers, strict=True):
                new[place] = answer
        return new

    async def _find(self, codes: Collection[str], campaigns: Collection[CampaignKey]) -> Reply:
        await self.agreement.require_now()
        return await lookup.find(self._db, codes, campaigns)

    def _is_bypassed(self, shard: int) -> bool:
        return not self.agreement.is_reached or self._recorders[shard].bypasses_redis

    async def close(self) -> None:
        await self.codes.close()
        for batcher in self._batchers:
            await batcher.close()
        for recorder in self._recorders:
            await recorder.close()


async def _record(recorder: Recorder, hits: Sequence[Hit]) -> list[bool]:
    new = await recorder.record(hits)
    if all(new):
        outcomes = Counter(map(_OUTCOME, hits))
    else:
        outcomes = Counter(hit.outcome if is_new else "duplicate" for hit, is_new in zip(hits, new, strict=True))
    for outcome, number in outcomes.items():
        metrics.EVENTS.labels(outcome).inc(number)
    return new
