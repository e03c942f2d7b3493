"""The live side, in Redis: batches recorded by one script each."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
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
    counters: tuple[str, str, str]


# By identity, as long as the code cache keeps the target. Spelling the names costs more than counting under them.
_NAMES: dict[int, _Names] = {}
MOST_NAMES = 20_000
_keys_of = lru_cache(64)(Keys)


def make_batch(shard: int, hits: Sequence[Hit]) -> Batch:
    """`hits` are all of this shard; at most some 1,000, because one script keeps everybody else waiting."""
    own, (targets, places) = _keys_of(shard), targets_of(hits)
    keys = [own.epoch, own.sequence, own.stream, own.batch(secrets.token_hex(12))]
    for target in targets:
        keys += _names(own, target).counters
    visits = _visits(own, keys, hits, places)
    seen = _seen(own, keys, hits)
    arguments = (
        secrets.token_hex(16),
        pack_at(targets, places, hits),
        *(BATCH_SECONDS, SEEN_SECONDS, VISITOR_SECONDS),
        _pack((visits, seen)),
    )
    return Batch(keys, list(arguments))


def _names(own: Keys, target: Target) -> _Names:
    names = _NAMES.get(id(target))
    if names is None or names.target is not target or names.keys is not own:
        if len(_NAMES) >= MOST_NAMES:
            _NAMES.clear()
        campaign, participant = target.campaign_id, target.participant_id
        counters = (own.campaign(campaign), own.participant(participant), own.hours(campaign))
        names = _NAMES[id(target)] = _Names(target, own, counters)
    return names


def _visits(own: Keys, keys: list[str], hits: Sequence[Hit], places: Sequence[int]) -> list[int]:
    """Flat: the place of a target, a day, the place of the key of that day's visitors."""
    found: list[int] = []
    known: set[tuple[int, int]] = set()
    for hit, place in zip(hits, places, strict=True):
        day = hit.visit_day
        if day is not None and (place, day) not in known:
            known.add((place, day))
            keys.append(own.visitors(hit.target.participant_id, day))
            found += (place, day, len(keys))
    return found


def _seen(own: Keys, keys: list[str], hits: Sequence[Hit]) -> list[int]:
    """For each hit the place of its client's event id's key, or 0; nothing at all where no client named one."""
    found = []
    for hit in hits:
        if hit.client_event_id is None:
            found.append(0)
        else:
            keys.append(own.seen(hit.target.merchant_id, hit.client_event_id))
            found.append(len(keys))
    return found if any(found) else []


def hour_field(hour: int, channel: str, counter: str) -> str:
    return f"{hour}|{channel}|{counter}"


async def record(redis: Redis, batch: Batch) -> list[int]:
    """Places of the hits that were recorded before. The rest is counted and in the stream when this returns."""
    return read_places(await lua.RECORD.run(redis, batch.keys, batch.arguments))


def read_places(reply: bytes) -> list[int]:
    return [] if reply == b"" else _unpack_places(reply)


def numbers(counters: Mapping[bytes, bytes]) -> dict[str, int]:
    return {name.decode(): int(value) for name, value in counters.items()}
