"""Hours of a campaign in Redis that nobody is shown one by one from there: folded into one, so that sums stay whole."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from redis.asyncio import Redis

from app.tracking import lua
from app.tracking.hits import hour_of, micros
from app.tracking.keys import Keys, shard_of

# A series by the hour is of 31 days at the most. What is older is read from the rows, which no late event changes.
KEPT_HOURS = 32 * 24
# Readers' clocks may be ahead of the one that folds.
SLACK_HOURS = 2
# No instant has it.
FOLDED = -1_000_000_000
# Below, a hash is small anyway.
LEAST_FIELDS = 1_000
MOST_AT_ONCE = 500


def shown_from(now: datetime) -> int:
    """From this hour (since 1970) on Redis has each by itself."""
    return hour_of(micros(now)) - KEPT_HOURS


def folded(counts: Mapping[str, int], before: int) -> dict[str, int]:
    """Counts by `hour|channel|counter` with all earlier hours as one."""
    found: dict[str, int] = {}
    for field, number in counts.items():
        hour, rest = field.split("|", 1)
        name = f"{FOLDED}|{rest}" if int(hour) < before else field
        found[name] = found.get(name, 0) + number
    return found


async def fold(redis: Redis, shards: int, campaign_id: UUID, *, now: datetime) -> int:
    """How many fields there were too many. A few at a time, because all of Redis stands still meanwhile."""
    key = Keys(shard_of(campaign_id, shards)).hours(campaign_id)
    client: Any = redis
    if await client.hlen(key) < LEAST_FIELDS:
        return 0
    before, cursor, found = shown_from(now) - SLACK_HOURS, -1, 0
    while cursor:
        cursor, fields = await client.hscan(key, max(0, cursor), count=MOST_AT_ONCE)
        old = [name for name in fields if FOLDED < int(name.partition(b"|")[0]) < before]
        for first in range(0, len(old), MOST_AT_ONCE):
            await lua.FOLD.run(redis, (key,), (FOLDED, *old[first : first + MOST_AT_ONCE]))
        found += len(old)
    return found
