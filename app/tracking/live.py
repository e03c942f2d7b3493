"""The live side, in Redis: batches recorded by one script each."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, count, repeat
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


def make_batch(shard: int, hits: Sequence[Hit]) -> Batch:
    """`hits` are all of this shard; at most some 1,000, because one script keeps everybody else waiting.

    With none of them it tells whether Redis takes batches.
    """
    own = _keys_of(shard)
    targets, places = targets_of(hits)
    names = [_names(own, target) for target in targets]
    keys = [own.epoch, own.sequence, own.stream, own.batch(secrets.token_hex(12))]
    plan = (_counters(keys, names), _visits(keys, names, places, hits), _clients_ids(keys, own, hits))
    arguments = (
        secrets.token_hex(16),
        pack_at(targets, places, hits),
        *(BATCH_SECONDS, SEEN_SECONDS, VISITOR_SECONDS),
        _pack(plan),
    )
    return Batch(keys, list(arguments))


# A plan says by the places of keys (from 1) what is counted where. Its keys are added to those of the batch.


def _counters(keys: list[str], names: Sequence[_Names]) -> list[int]:
    """Flat, for each target: the place of its campaign, whose hours follow, and of its participant."""
    hours = {each.campaign: each.hours for each in names}
    campaigns = dict(zip(hours, count(len(keys) + 1, 2), strict=False))
    keys += chain.from_iterable(hours.items())
    participants = count(len(keys) + 1)
    keys += [each.participant for each in names]
    return _flat(zip([campaigns[each.campaign] for each in names], participants, strict=False))


def _visits(keys: list[str], names: Sequence[_Names], places: Sequence[int], hits: Sequence[Hit]) -> list[int]:
    """Flat: the place of a target among the targets (from 0), a day, the place of that day's visitors.

    Of every day that a target has hits of, whether or not they are visits: the script tells.
    """
    begins_us, ends_us = min(map(_OCCURRED, hits), default=0), max(map(_OCCURRED, hits), default=0)
    visitors = count(len(keys) + 1)
    if (day := day_of(begins_us)) == day_of(ends_us):
        keys += [f"{each.visitors}{day}" for each in names]
        return _flat(zip(range(len(names)), repeat(day), visitors, strict=False))
    days = sorted({(place, day_of(hit.occurred_us)) for place, hit in zip(places, hits, strict=True)})
    keys += [f"{names[place].visitors}{day}" for place, day in days]
    return _flat((place, day, key) for (place, day), key in zip(days, visitors, strict=False))


def _clients_ids(keys: list[str], own: Keys, hits: Sequence[Hit]) -> list[int]:
    """For each hit the place of its client's event id, or 0."""
    if not any(map(_CLIENT_ID, hits)):
        return [0] * len(hits)
    seen = []
    for hit in hits:
        if hit.client_event_id is None:
            seen.append(0)
        else:
            keys.append(own.seen(hit.target.campaign_id, hit.client_event_id))
            seen.append(len(keys))
    return seen


def _flat(rows: Iterable[tuple[int, ...]]) -> list[int]:
    return list(chain.from_iterable(rows))


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
