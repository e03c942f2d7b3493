"""The live side, in Redis: batches recorded by one script each."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat
from operator import attrgetter

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.tracking import lua
from app.tracking.hits import Hit, Target, day_of, pack_at, targets_of
from app.tracking.keys import Keys
from app.tracking.rules import CLOCK_TOLERANCE, DEDUPE_HORIZON

AWAY = (RedisError, OSError)
BATCH_SECONDS = 300
# An event may lie so far ahead and be as old as that when it is told again; and batches are sent again for a while.
SEEN_SECONDS = int((DEDUPE_HORIZON + CLOCK_TOLERANCE).total_seconds()) + BATCH_SECONDS
# A day, and until then late events of it may come.
VISITOR_SECONDS = SEEN_SECONDS + 2 * 86_400

_CLIENT_ID, _OCCURRED = attrgetter("client_event_id"), attrgetter("occurred_us")
_pack = msgspec.msgpack.Encoder().encode
_unpack_places = msgspec.msgpack.Decoder(list[int]).decode


@dataclass(frozen=True, slots=True)
class Batch:
    """One call of the script: made once and sent again as it is, so that its guard holds."""

    keys: list[str]
    arguments: list[str | bytes | int]


class _Names(msgspec.Struct, frozen=True):
    """What a target's keys are called on its shard."""

    target: Target
    keys: Keys
    campaign: str
    hours: str
    participant: str
    visitors: str  # before the day


# By identity, as long as the code cache keeps the target. Spelling the names costs more than counting under them.
_NAMES: dict[int, _Names] = {}
MOST_NAMES = 20_000
_keys_of = lru_cache(64)(Keys)


class _Plan:
    """The keys of a batch, each named once, and by their places (from 1) what is counted where."""

    def __init__(self, own: Keys) -> None:
        self.own = own
        self.keys = [own.epoch, own.sequence, own.stream, own.batch(secrets.token_hex(12))]
        self.names: list[_Names] = []
        self.targets: list[int] = []
        self.visits: list[int] = []
        self._campaigns: dict[str, int] = {}

    def count(self, target: Target) -> None:
        """Flat: the places of its campaign, whose hours follow, and of its participant."""
        names = _names(self.own, target)
        self.names.append(names)
        campaign = self._campaigns.get(names.campaign)
        if campaign is None:
            campaign = self._campaigns[names.campaign] = self.add(names.campaign)
            self.add(names.hours)
        self.targets += (campaign, self.add(names.participant))

    def visit(self, place: int, day: int) -> None:
        """Flat: the place of a target among the targets (from 0), a day, the place of that day's visitors."""
        self.visits += (place, day, self.add(f"{self.names[place].visitors}{day}"))

    def recognise(self, hit: Hit) -> int:
        """The place of its client's event id, or 0."""
        client_id = hit.client_event_id
        return 0 if client_id is None else self.add(self.own.seen(hit.target.campaign_id, client_id))

    def add(self, key: str) -> int:
        self.keys.append(key)
        return len(self.keys)


def make_batch(shard: int, hits: Sequence[Hit]) -> Batch:
    """`hits` are all of this shard; at most some 1,000, because one script keeps everybody else waiting.

    With none of them it tells whether Redis takes batches.
    """
    targets, places = targets_of(hits)
    plan = _Plan(_keys_of(shard))
    for target in targets:
        plan.count(target)
    _visits(plan, targets, places, hits)
    seen = [plan.recognise(hit) for hit in hits] if any(map(_CLIENT_ID, hits)) else [0] * len(hits)
    arguments = (
        secrets.token_hex(16),
        pack_at(targets, places, hits),
        *(BATCH_SECONDS, SEEN_SECONDS, VISITOR_SECONDS),
        _pack((plan.targets, plan.visits, seen)),
    )
    return Batch(plan.keys, list(arguments))


def _visits(plan: _Plan, targets: Sequence[Target], places: Sequence[int], hits: Sequence[Hit]) -> None:
    """The keys of every day that a target has hits of, whether or not they are visits: the script tells."""
    begins_us, ends_us = min(map(_OCCURRED, hits), default=0), max(map(_OCCURRED, hits), default=0)
    if day_of(begins_us) == day_of(ends_us):
        days: Iterable[tuple[int, int]] = zip(range(len(targets)), repeat(day_of(begins_us)), strict=False)
    else:
        days = sorted({(place, day_of(hit.occurred_us)) for place, hit in zip(places, hits, strict=True)})
    for place, day in days:
        plan.visit(place, day)


def _names(own: Keys, target: Target) -> _Names:
    names = _NAMES.get(id(target))
    if names is None or names.target is not target or names.keys is not own:
        if len(_NAMES) >= MOST_NAMES:
            _NAMES.clear()
        campaign, participant = target.campaign_id, target.participant_id
        visitors = own.visitors_of(participant)
        names = _Names(target, own, own.campaign(campaign), own.hours(campaign), own.participant(participant), visitors)
        _NAMES[id(target)] = names
    return names


def hour_field(hour: int, channel: str, counter: str) -> str:
    return f"{hour}|{channel}|{counter}"


async def record(redis: Redis, batch: Batch) -> list[int]:
    """Places of the hits that were recorded before. The rest is counted and in the stream when this returns."""
    return read_places(await lua.RECORD.run(redis, batch.keys, batch.arguments))


def read_places(reply: bytes) -> list[int]:
    return [] if reply == b"" else _unpack_places(reply)


def numbers(counters: Mapping[bytes, bytes]) -> dict[str, int]:
    return {name.decode(): int(value) for name, value in counters.items()}
