"""The live side, in Redis: batches recorded by one script each, and counters read in one round trip."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.kit import ids
from app.tracking import lua
from app.tracking.hits import Hit, pack
from app.tracking.keys import Keys, shard_of
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


def make_batch(shard: int, hits: Sequence[Hit]) -> Batch:
    """`hits` are all of this shard; at most some 1,000, because one script keeps everybody else waiting."""
    keys = Keys(shard)
    places: dict[str, int] = {}

    def place(key: str) -> int:
        return places.setdefault(key, len(places) + 1)

    for key in (keys.epoch, keys.sequence, keys.stream, keys.batch(secrets.token_hex(12))):
        place(key)
    plan = []
    for hit in hits:
        target, counter, day = hit.target, hit.counter, hit.visit_day
        seen = keys.seen(target.merchant_id, hit.client_event_id) if hit.client_event_id else None
        plan.append(
            (
                place(seen) if seen else 0,
                place(keys.campaign(target.campaign_id)),
                place(keys.participant(target.participant_id)),
                place(keys.hours(target.campaign_id)),
                counter,
                hour_field(hit.hour, hit.channel, counter),
                0 if day is None else place(keys.visitors(target.participant_id, day)),
                hit.visitor,
            )
        )
    arguments = (secrets.token_hex(16), pack(hits), BATCH_SECONDS, SEEN_SECONDS, VISITOR_SECONDS, _pack(plan))
    return Batch(list(places), list(arguments))


def hour_field(hour: int, channel: str, counter: str) -> str:
    return f"{hour}|{channel}|{counter}"


async def record(redis: Redis, batch: Batch) -> list[int]:
    """Places of the hits that were recorded before. The rest is counted and in the stream when this returns."""
    return read_places(await lua.RECORD.run(redis, batch.keys, batch.arguments))


def read_places(reply: bytes) -> list[int]:
    return [] if reply == b"" else _unpack_places(reply)


async def read_campaign(redis: Redis, shards: int, campaign_id: str) -> dict[str, int] | None:
    """Live counters, or None where Redis is away or has not been rebuilt since it lost its past."""
    campaign = ids.decode("cmp", campaign_id)
    keys = Keys(shard_of(campaign, shards))
    return await _read(redis, keys, keys.campaign(campaign))


async def read_participant(redis: Redis, shards: int, campaign_id: str, participant_id: str) -> dict[str, int] | None:
    keys = Keys(shard_of(ids.decode("cmp", campaign_id), shards))
    return await _read(redis, keys, keys.participant(ids.decode("ptc", participant_id)))


async def _read(redis: Redis, keys: Keys, key: str) -> dict[str, int] | None:
    try:
        async with redis.pipeline(transaction=True) as pipe:
            pipe.mget(keys.epoch, keys.ready)
            pipe.hgetall(key)
            (epoch, ready), counters = await pipe.execute()
    except AWAY:
        return None
    return numbers(counters) if epoch is not None and epoch == ready else None


def numbers(counters: Mapping[bytes, bytes]) -> dict[str, int]:
    return {name.decode(): int(value) for name, value in counters.items()}
