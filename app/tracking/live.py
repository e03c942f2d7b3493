"""The live side, in Redis: batches recorded by one script each."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, count
from operator import attrgetter

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.tracking import lua
from app.tracking.hits import HOUR_US, Hit, Kind, Outcome, Target, counter_of, day_of, pack_at, targets_of
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
    keys = [own.epoch, own.sequence, own.stream, own.batch(secrets.token_hex(12))]
    rows, row_of = _rows(keys, [_names(own, target) for target in targets], places, hits)
    counters, pair_of = _counters(hits)
    plan = (rows, counters, row_of, pair_of, [hit.visitor for hit in hits], _clients_ids(keys, own, hits))
    arguments = (
        secrets.token_hex(16),
        pack_at(targets, places, hits),
        *(BATCH_SECONDS, SEEN_SECONDS, VISITOR_SECONDS),
        _pack(plan),
    )
    return Batch(keys, list(arguments))


# A plan spares the script to look into the hits, where it would have to make a table of each. It names keys by their
# places, from 1; those are added here to the batch's own.


def _rows(
    keys: list[str], names: Sequence[_Names], places: list[int], hits: Sequence[Hit]
) -> tuple[list[int], list[int]]:
    """Flat: the places of a campaign, whose hours follow, of a participant, and of a day's visitors.

    And for each hit the row, from 0: one for every day that its target has hits of.
    """
    days = [day_of(min(map(_OCCURRED, hits), default=0))] * len(names)
    if day_of(max(map(_OCCURRED, hits), default=0)) not in days:
        known: dict[tuple[int, int], int] = {}
        pairs = zip(places, map(_OCCURRED, hits), strict=True)
        places = [known.setdefault((place, day_of(instant)), len(known)) for place, instant in pairs]
        names, days = [names[place] for place, _ in known], [day for _, day in known]
    hours = {of.campaign: of.hours for of in names}
    campaigns = dict(zip(hours, count(len(keys) + 1, 2), strict=False))
    keys += chain.from_iterable(hours.items())
    own = len(keys) + 1
    for of, day in zip(names, days, strict=True):
        keys.append(of.participant)
        keys.append(f"{of.visitors}{day}")
    rows = zip([campaigns[of.campaign] for of in names], count(own, 2), count(own + 1, 2), strict=False)
    return list(chain.from_iterable(rows)), places


def _counters(hits: Sequence[Hit]) -> tuple[list[str], list[int]]:
    """Flat: a counter, and the field of its hour; and for each hit the pair, from 0."""
    known: dict[tuple[Kind, Outcome, str, int], int] = {}
    pair_of = [
        known.setdefault((hit.kind, hit.outcome, hit.channel, hit.occurred_us // HOUR_US), len(known)) for hit in hits
    ]
    pairs: list[str] = []
    for kind, outcome, channel, hour in known:
        counter = counter_of(kind, outcome)
        pairs += (counter, hour_field(hour, channel, counter))
    return pairs, pair_of


def _clients_ids(keys: list[str], own: Keys, hits: Sequence[Hit]) -> list[int]:
    """For each hit the place of its client's event id, or 0; nothing where none has one."""
    if not any(map(_CLIENT_ID, hits)):
        return []
    ids = []
    for hit in hits:
        if hit.client_event_id is None:
            ids.append(0)
        else:
            keys.append(own.seen(hit.target.campaign_id, hit.client_event_id))
            ids.append(len(keys))
    return ids


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
