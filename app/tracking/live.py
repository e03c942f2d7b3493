"""The live side, in Redis: batches recorded by one script each."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.tracking import lua
from app.tracking.hits import Hit, Target, pack_at, targets_of
from app.tracking.keys import Keys
from app.tracking.rules import DEDUPE_HORIZON

AWAY = (RedisError, OSError)
BATCH_SECONDS = 300
SEEN_SECONDS = int(DEDUPE_HORIZON.total_seconds())
# A day, and until then late events of it may come.
VISITOR_SECONDS = SEEN_SECONDS + 2 * 86_400

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


# By identity, as long as the code cache keeps the target. Spelling the names costs more than counting under them.
_NAMES: dict[int, _Names] = {}
MOST_NAMES = 20_000
_keys_of = lru_cache(64)(Keys)


class _Plan:
    """The keys of a batch, each named once, and by their places (from 1) what is counted where."""

    def __init__(self, own: Keys) -> None:
        self.own = own
        self.keys = [own.epoch, own.sequence, own.stream, own.batch(secrets.token_hex(12))]
        self.targets: list[int] = []
        self.visits: list[int] = []
        self.seen: list[int] = []
        self._campaigns: dict[str, int] = {}

    def count(self, target: Target) -> None:
        """Flat: the places of its campaign, whose hours follow, and of its participant."""
        names = _names(self.own, target)
        campaign = self._campaigns.get(names.campaign)
        if campaign is None:
            campaign = self._campaigns[names.campaign] = self._add(names.campaign)
            self._add(names.hours)
        self.targets += (campaign, self._add(names.participant))

    def visit(self, hits: Iterable[Hit], places: Iterable[int]) -> None:
        """Flat: the place of a target among the targets (from 0), a day, the place of that day's visitors."""
        known: set[tuple[int, int]] = set()
        for hit, place in zip(hits, places, strict=True):
            day = hit.visit_day
            if day is not None and (place, day) not in known:
                known.add((place, day))
                self.visits += (place, day, self._add(self.own.visitors(hit.target.participant_id, day)))

    def recognise(self, hits: Iterable[Hit]) -> None:
        """For each hit the place of its client's event id, or 0."""
        for hit in hits:
            client_id = hit.client_event_id
            self.seen.append(0 if client_id is None else self._add(self.own.seen(hit.target.merchant_id, client_id)))

    def _add(self, key: str) -> int:
        self.keys.append(key)
        return len(self.keys)


def make_batch(shard: int, hits: Sequence[Hit]) -> Batch:
    """`hits` are all of this shard; at most some 1,000, because one script keeps everybody else waiting."""
    targets, places = targets_of(hits)
    plan = _Plan(_keys_of(shard))
    for target in targets:
        plan.count(target)
    plan.visit(hits, places)
    plan.recognise(hits)
    arguments = (
        secrets.token_hex(16),
        pack_at(targets, places, hits),
        *(BATCH_SECONDS, SEEN_SECONDS, VISITOR_SECONDS),
        _pack((plan.targets, plan.visits, plan.seen)),
    )
    return Batch(plan.keys, list(arguments))


def _names(own: Keys, target: Target) -> _Names:
    names = _NAMES.get(id(target))
    if names is None or names.target is not target or names.keys is not own:
        if len(_NAMES) >= MOST_NAMES:
            _NAMES.clear()
        campaign, participant = target.campaign_id, target.participant_id
        names = _Names(target, own, own.campaign(campaign), own.hours(campaign), own.participant(participant))
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
