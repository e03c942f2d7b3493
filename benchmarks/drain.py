"""The worker's drain: a stream full of batches into Postgres, beside one COPY of the same rows into the same table."""

from __future__ import annotations

import base64
import io
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from statistics import median
from typing import Any
from uuid import UUID

import asyncpg
from uuid_utils.compat import uuid7

from app.kit import clock, garbage, ids
from app.tracking import live
from app.tracking.hits import Hit, Kind, Target, micros
from app.tracking.keys import shard_of
from app.worker import tracking as worker
from proofs.frame.command import Entry
from proofs.frame.report import Figure
from proofs.frame.stage import Stage
from tests.factories import make_merchant
from tests.factories.tracking import WECHAT

EVENTS, QUICK_EVENTS = 100_000, 80_000
ROUNDS, QUICK_ROUNDS = 9, 3
COPIES = 3
BATCH = 1_000
LEAST_OF_A_COPY = 0.5
PATIENCE = 600

# A campaign gone viral: a few bring most, everybody comes by one of few apps, and a visitor is seen more than once.
CAMPAIGNS, PARTICIPANTS = 10, 2_000
EVENTS_A_VISITOR = 2.5
KINDS: Sequence[Kind] = ("scan", "scan", "click", "click", "view", "view", "share")
CHANNELS = ("direct", "direct", "moments", "chat")
ONE_IN_BY_CLIENT, ONE_IN_LATE, ONE_IN_BOT = 20, 50, 30
AGENTS = [WECHAT, *(f"{WECHAT} ({number})" for number in range(200))]
COLUMNS = (
    *("received_at", "id", "merchant_id", "campaign_id", "participant_id", "client_event_id", "type", "outcome"),
    *("channel", "visitor", "occurred_at", "address", "user_agent"),
)


async def run(stage: Stage, quick: bool) -> Sequence[Figure]:
    events = QUICK_EVENTS if quick else EVENTS
    garbage.look_seldom()  # as a worker does
    dice = random.Random(1)
    targets = await _targets(stage)
    owner, system = await asyncpg.connect(stage.stack.owner_url), await asyncpg.connect(stage.stack.system_url)
    await worker.make_event_partitions(stage.resources)
    taken: dict[str, list[float]] = {"drain": [], "copy": [], "copied bytes": []}
    try:
        for number in range(1 + (QUICK_ROUNDS if quick else ROUNDS)):
            await _fill(stage, dice, targets, events)
            drained = await _timed(_drain(stage, events))
            rows, packed = await _rows(system)
            assert len(rows) == events
            times = {"drain": drained, "copy": await _ceiling(owner, partial(_copy, system, rows))}
            times["copied bytes"] = await _ceiling(owner, partial(_copy_bytes, system, packed))
            if number:
                for name, seconds in times.items():
                    taken[name].append(seconds)
    finally:
        await owner.close()
        await system.close()
    return [_figure(events, taken)]


BENCH = Entry("drain", run, seconds=PATIENCE)


def _figure(events: int, taken: dict[str, list[float]]) -> Figure:
    drain, ceiling, bare = (events / median(taken[name]) for name in ("drain", "copy", "copied bytes"))
    ratios = [copy / drained for copy, drained in zip(taken["copy"], taken["drain"], strict=True)]
    ratio = median(ratios)
    remarks = [
        f"{events:,} events a round; ratios by round: {', '.join(f'{found:.2f}' for found in ratios)}",
        f"beside a COPY whose bytes were made beforehand: {drain / bare:.2f} of {bare:,.0f} rows/s",
    ]
    promise = f"≥ {LEAST_OF_A_COPY} of one COPY"
    return Figure("drain", drain, "events/s", ceiling, ratio, promise, ratio >= LEAST_OF_A_COPY, remarks)


async def _timed(work: Any) -> float:
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


async def _ceiling(owner: asyncpg.Connection[Any], copy: Callable[[], Awaitable[None]]) -> float:
    """Into the emptied table, some times in each round: one alone differs by half from the next."""
    times = []
    for _ in range(COPIES):
        await owner.execute("TRUNCATE tracked_events")
        times.append(await _timed(copy()))
    await owner.execute("TRUNCATE tracked_events")
    return median(times)


async def _targets(stage: Stage) -> list[Target]:
    merchant = await make_merchant(stage.resources)
    merchant_id = ids.decode("mch", merchant.test_id)
    campaigns = [uuid7() for _ in range(CAMPAIGNS)]
    return [Target(merchant_id, campaigns[number % CAMPAIGNS], uuid7()) for number in range(PARTICIPANTS)]


async def _fill(stage: Stage, dice: random.Random, targets: Sequence[Target], events: int) -> None:
    visitors = [base64.urlsafe_b64encode(dice.randbytes(12)).decode() for _ in range(int(events / EVENTS_A_VISITOR))]
    chosen = [_skewed(dice, targets) for _ in visitors]
    shards = stage.resources.settings.track_shards
    for _ in range(0, events, BATCH):
        by_shard: dict[int, list[Hit]] = {}
        for _ in range(BATCH):
            number = dice.randrange(len(visitors))
            hit = _hit(dice, chosen[number], visitors[number])
            by_shard.setdefault(shard_of(hit.target.campaign_id, shards), []).append(hit)
        for shard, hits in by_shard.items():
            await live.record(stage.resources.redis, live.make_batch(shard, hits))


def _skewed(dice: random.Random, targets: Sequence[Target]) -> Target:
    """By a power law: of two thousand the first ten bring a third."""
    return targets[int(len(targets) ** dice.random()) - 1]


def _hit(dice: random.Random, target: Target, visitor: str) -> Hit:
    now = clock.utcnow()
    occurred = now - timedelta(hours=dice.randrange(1, 40)) if not dice.randrange(ONE_IN_LATE) else now
    return Hit(
        id=uuid7(),
        target=target,
        kind=dice.choice(KINDS),
        outcome="human" if dice.randrange(ONE_IN_BOT) else "bot",
        channel=dice.choice(CHANNELS),
        occurred_us=micros(occurred),
        received_us=micros(now),
        visitor=visitor,
        client_event_id=None if dice.randrange(ONE_IN_BY_CLIENT) else f"order-{dice.randrange(10**12)}",
        address=f"112.97.{ord(visitor[0])}.{ord(visitor[1])}",
        user_agent=dice.choice(AGENTS),
    )


async def _drain(stage: Stage, events: int) -> None:
    found = 0
    while piece := await worker.drain_streams(stage.resources):
        found += piece
    assert found == events


async def _rows(system: asyncpg.Connection[Any]) -> tuple[list[tuple[Any, ...]], bytes]:
    """The rows in the order in which they were stored: as a client has them, and as COPY sends them."""
    query = f"SELECT {', '.join(COLUMNS)} FROM tracked_events"
    packed = io.BytesIO()
    await system.copy_from_query(query, output=packed, format="binary")
    return [tuple(map(_own, row)) for row in await system.fetch(query)], packed.getvalue()


def _own(value: Any) -> Any:
    """Not the driver's own class, that it could take apart faster than what a client has."""
    return UUID(int=value.int) if isinstance(value, UUID) else value


async def _copy(system: asyncpg.Connection[Any], rows: Sequence[tuple[Any, ...]]) -> None:
    await system.copy_records_to_table("tracked_events", records=rows, columns=COLUMNS)


async def _copy_bytes(system: asyncpg.Connection[Any], packed: bytes) -> None:
    await system.copy_to_table("tracked_events", source=io.BytesIO(packed), columns=COLUMNS, format="binary")
