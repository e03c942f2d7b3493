"""At every step of a click and of money the process dies, or its call fails, and all ends as if it had not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from contextlib import ExitStack

from sqlalchemy import text
from uuid_utils.compat import uuid7

from app.cli.output import progress
from app.kit import ids
from app.tracking import positions, stream
from app.tracking.keys import Keys, shard_of
from app.tracking.stream import Window
from app.worker import counters
from proofs.frame import forks, truth
from proofs.frame.command import Entry
from proofs.frame.report import Finding
from proofs.frame.stage import Stage
from proofs.frame.traffic import TRACKING, Scene, Traffic, open_scene
from proofs.money import crashes
from proofs.sabotage import failpoints, money_failpoints

QUICK = (
    *("batch-after-script", "fallback-unanswered", "drain-before-commit", "drain-commit-unanswered"),
    *("repair-before-campaign", "refund-unanswered", "payout-sent"),
)
ACTIONS = 96
CONNECTIONS = 12
FIRE_PATIENCE = 15.0
PATIENCE = 900
_ASK = text("INSERT INTO counter_repairs (merchant_id, id, campaign_id) VALUES (:merchant, :id, :campaign)")


async def run(stage: Stage, quick: bool) -> Finding:
    of_money = (*money_failpoints.API, *money_failpoints.WORKER)
    chosen = [name for name in (*failpoints.API, *failpoints.WORKER, *of_money) if not quick or name in QUICK]
    load, silent, faults, usual = 0, [], [], dict[str, crashes.End]()
    with forks.api(stage) as steady, progress() as bar:
        for name in bar.track(chosen, description="failpoints"):
            if name in of_money:
                fired, found, requests = await crashes.run(stage, steady, name, usual)
            elif name in failpoints.WORKER:
                fired, found, requests = await in_worker(stage, steady, ["always-copy", name])
            else:
                fired, found, requests = await in_api(stage, steady, [name])
            load += requests
            silent += [] if fired else [name]
            faults += [f"{name}: {fault}" for fault in found]
    injected = len(chosen) - len(silent)
    faults += [f"{name}: was never reached" for name in silent]
    return Finding(
        expected={"failpoints reached": len(chosen), "recovered to another state": 0},
        found={"failpoints reached": injected, "recovered to another state": len(faults) - len(silent)},
        load=load,
        injected=injected,
        least_load=sum(3 if name in of_money else ACTIONS for name in chosen),
        least_injected=len(chosen),
        faults=faults,
    )


PROOF = Entry("crash-points", run, seconds=PATIENCE, weight=19)
Case = tuple[bool, list[str], int]


async def in_api(stage: Stage, steady: forks.Fork, names: Sequence[str], in_worker: Sequence[str] = ()) -> Case:
    """Two servers, one of them sabotaged; whether it struck, what came out wrong, and how many requests there were."""
    scene = await open_scene(stage, inviters=6)
    await truth.end_leases(stage.resources)
    with ExitStack() as running:
        sabotaged = running.enter_context(forks.api(stage, *names))
        running.enter_context(forks.worker(stage, *in_worker))
        traffic = new_traffic(scene, steady, sabotaged)
        await traffic.settle(ACTIONS)
        await until_drained(stage, scene)
        faults = await wrongs(stage, traffic)
    return sabotaged.has_fired, faults, traffic.diary.load


async def in_worker(stage: Stage, steady: forks.Fork, names: Sequence[str]) -> Case:
    """The sabotaged worker drains, and repairs counters that somebody has spoilt; then another takes over."""
    scene = await open_scene(stage, inviters=6)
    traffic = new_traffic(scene, steady)
    await truth.end_leases(stage.resources)
    with forks.worker(stage, *names) as sabotaged:
        await traffic.settle(ACTIONS // 2)
        await spoil(stage, scene)
        await traffic.settle(ACTIONS // 2)
        await until_fired(sabotaged)
    with forks.worker(stage):
        faults = await wrongs(stage, traffic)
    return sabotaged.has_fired, faults, traffic.diary.load


def new_traffic(scene: Scene, *servers: forks.Fork) -> Traffic:
    addresses = [server.base_url for server in servers]
    return Traffic(scene, addresses, connections=CONNECTIONS, mix=TRACKING, patience=3.0)


async def until_fired(sabotaged: forks.Fork) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FIRE_PATIENCE):
            while not sabotaged.has_fired:  # noqa: ASYNC110 - another process' doing
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.1)


async def until_drained(stage: Stage, scene: Scene) -> None:
    """By the worker that runs, whose doing it is; what it leaves is drained without it."""
    shard = shard_of(ids.decode("cmp", scene.campaign.id), stage.resources.settings.track_shards)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FIRE_PATIENCE):
            goal = await stream.read(stage.resources.redis, shard, after=counters.LAST)
            while not await _is_drained(stage, shard, goal):  # noqa: ASYNC110 - another process' doing
                await asyncio.sleep(0.05)


async def _is_drained(stage: Stage, shard: int, goal: Window) -> bool:
    """Of this Redis; other proofs may have had another."""
    async with stage.resources.db.system() as session:
        position = await positions.read(session, shard)
    return position.epoch == goal.epoch and position.sequence >= goal.sequence


async def spoil(stage: Stage, scene: Scene) -> None:
    """Live counters that are wrong, and the request to set them right."""
    merchant, campaign = ids.decode("mch", scene.merchant.test_id), ids.decode("cmp", scene.campaign.id)
    keys = Keys(shard_of(campaign, stage.resources.settings.track_shards))
    for key in (keys.campaign(campaign), *(keys.participant(ids.decode("ptc", one.id)) for one in scene.inviters)):
        await stage.resources.redis.hincrby(key, "clicks", 1_000)
    async with stage.resources.db.system() as session:
        await session.execute(_ASK, {"merchant": merchant, "id": uuid7(), "campaign": campaign})


async def wrongs(stage: Stage, traffic: Traffic) -> list[str]:
    try:
        found = await truth.tracking(stage, traffic.scene, traffic.diary)
    except TimeoutError:
        return ["the stream was not drained"]
    return [f"{number} {name}" for name, number in found.items() if number] + traffic.diary.faults
