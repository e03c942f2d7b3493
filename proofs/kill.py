"""API, worker, Redis and Postgres killed under mixed load with client retries: nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from rich.progress import Progress
from sqlalchemy import text

from app.cli.output import progress
from app.embedded.processes import mark_of
from app.kit import ids
from proofs.frame import truth
from proofs.frame.command import Entry
from proofs.frame.diary import Diary
from proofs.frame.programs import Program, work
from proofs.frame.report import Finding
from proofs.frame.server import Process, serve
from proofs.frame.stage import Stage
from proofs.frame.traffic import Scene, Traffic, open_scene

PLAN = {"api": 50, "worker": 50, "valkey": 20, "postgres": 20}
QUICK = {"api": 2, "worker": 2, "valkey": 2, "postgres": 2}
PROCESSES = 2
# What a client thinks between two requests: a quick run shares its cores.
PAUSE, QUICK_PAUSE = 0.02, 0.08
RESTART_PATIENCE = 60.0
# What a process does between two deaths; sometimes it has hardly begun.
LIFE_SECONDS = (0.1, 0.9)
PATIENCE = 1_800
_OWED = text("SELECT count(*) FROM counter_repairs WHERE campaign_id = :campaign")
_DRAINED = text("SELECT coalesce(sum(sequence), 0) FROM stream_positions")


@dataclass(slots=True)
class Killing:
    """`missed`: signals that hit nobody, which prove nothing. `reads` of the live counters, `bound` those that had to
    show every event acknowledged before."""

    stage: Stage
    scene: Scene
    plan: dict[str, int]
    diary: Diary
    done: Counter[str] = field(default_factory=Counter)
    missed: int = 0
    reads: int = 0
    bound: int = 0
    beside: list[str] = field(default_factory=list)
    dice: random.Random = field(default_factory=lambda: random.Random(20_261_122))

    def note(self, name: str, *, hit: bool) -> None:
        self.done[name] += hit
        self.missed += not hit

    async def live_for_a_moment(self) -> None:
        await asyncio.sleep(self.dice.uniform(*LIFE_SECONDS))


async def run(stage: Stage, quick: bool) -> Finding:
    plan = QUICK if quick else PLAN
    scene = await open_scene(stage)
    with serve(stage, processes=PROCESSES) as server, work(stage) as worker, progress() as bar:
        pause = QUICK_PAUSE if quick else PAUSE
        traffic = Traffic(scene, [process.base_url for process in server.processes], pause=pause)
        killing = Killing(stage, scene, plan, traffic.diary)
        async with watching(killing), traffic.flowing():
            await asyncio.sleep(0.5)
            async with asyncio.TaskGroup() as group:
                group.create_task(kill_apis(killing, server.processes, bar))
                group.create_task(kill_worker(killing, worker, bar))
            await kill_store(killing, "valkey", bar)
            await kill_store(killing, "postgres", bar)
            await until_enough(killing, quick=quick)
        found = await truth.tracking(stage, scene, traffic.diary)
    found |= await truth.money(stage, scene, traffic.diary)
    return judge(killing, found, quick=quick)


PROOF = Entry("kill", run, seconds=PATIENCE, durable=True, weight=21)


async def until_enough(killing: Killing, *, quick: bool) -> None:
    """Where everything starts fast, little may have been asked by now."""
    deadline = time.monotonic() + RESTART_PATIENCE
    while lacking(killing, quick=quick) and time.monotonic() < deadline:
        await killing.live_for_a_moment()


def lacking(killing: Killing, *, quick: bool) -> list[str]:
    """Kinds of load of which there was too little to prove anything."""
    diary, enough = killing.diary, 10 if quick else 40
    found = [name for name in ("visit", "events", "signup", "order", "refund") if diary.requests[name] < enough]
    found += ["readings of the counters"] if killing.bound < enough else []
    return found + (["retries"] if diary.repeats < diary.load * 0.1 else [])


async def kill_apis(killing: Killing, processes: Sequence[Process], bar: Progress) -> None:
    for number in bar.track(range(killing.plan["api"]), description="API"):
        await killing.live_for_a_moment()
        process = processes[number % len(processes)]
        killing.note("api", hit=process.program.kill())
        process.program.start()
        await asyncio.to_thread(process.wait_until_healthy)


async def kill_worker(killing: Killing, worker: Program, bar: Progress) -> None:
    for _ in bar.track(range(killing.plan["worker"]), description="worker"):
        await killing.live_for_a_moment()
        killing.note("worker", hit=worker.kill())
        before = await _drained(killing.stage)
        worker.start()
        deadline = time.monotonic() + RESTART_PATIENCE
        while await _drained(killing.stage) == before and time.monotonic() < deadline:  # noqa: ASYNC110 - a process' doing
            await asyncio.sleep(0.05)


async def kill_store(killing: Killing, name: str, bar: Progress) -> None:
    """The supervisor starts it again."""
    for _ in bar.track(range(killing.plan[name]), description=name):
        await killing.live_for_a_moment()
        pid = await _pid_of(killing.stage, name)
        mark = mark_of(pid)
        os.kill(pid, signal.SIGKILL)
        await asyncio.to_thread(_wait_for_death, pid, mark)
        killing.note(name, hit=mark is not None and mark_of(pid) != mark)
        await asyncio.to_thread(killing.stage.stack.check, RESTART_PATIENCE)


async def _pid_of(stage: Stage, name: str) -> int:
    """When it is there: it may just be started again."""
    async with asyncio.timeout(RESTART_PATIENCE):
        while (pid := stage.stack.pids.get(name)) is None or mark_of(pid) is None:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.02)
    return pid


def _wait_for_death(pid: int, mark: str | None) -> None:
    deadline = time.monotonic() + RESTART_PATIENCE
    while mark_of(pid) == mark and time.monotonic() < deadline:
        time.sleep(0.01)


async def _drained(stage: Stage) -> int:
    async with stage.resources.db.system() as session:
        return int(await session.scalar(_DRAINED) or 0)


@contextlib.asynccontextmanager
async def watching(killing: Killing) -> AsyncIterator[None]:
    watcher = asyncio.create_task(_watch(killing))
    try:
        yield
    finally:
        watcher.cancel()
        await asyncio.wait([watcher])


async def _watch(killing: Killing) -> None:
    while True:
        await asyncio.sleep(0.1)
        with contextlib.suppress(Exception):  # what is down cannot be read
            await _read_once(killing)


async def _read_once(killing: Killing) -> None:
    """An event that Postgres took while Redis was away shows when its repair is done; all others at once."""
    resources, campaign_id = killing.stage.resources, killing.scene.campaign.id
    told = dict(killing.diary.told)
    async with resources.db.system() as session:
        owed = await session.scalar(_OWED, {"campaign": ids.decode("cmp", campaign_id)})
    counters = await truth.live_counters(resources, campaign_id)
    if counters is None:
        return
    killing.reads += 1
    killing.bound += not owed
    for name, attempts in killing.diary.attempts.items():
        shown, least = counters.get(name, 0), 0 if owed else told.get(name, 0)
        if not least <= shown <= attempts:
            killing.beside.append(f"{name} showed {shown}, told {least}, sent {attempts}")


def judge(killing: Killing, lost: dict[str, int], *, quick: bool) -> Finding:
    diary = killing.diary
    kills = {f"{name} killed": killing.done[name] for name in killing.plan}
    found = {
        **kills,
        **lost,
        "counters beside told and sent": len(killing.beside),
        "answers that contradict": len([f for f in diary.faults if "made twice" in f]),
    }
    expected = {name: killing.plan.get(name.removesuffix(" killed"), 0) for name in found}
    enough = 10 if quick else 40
    least_load = sum(killing.plan.values()) * enough
    missing = lacking(killing, quick=quick)
    expected["kinds of load that are too little"] = 0
    found["kinds of load that are too little"] = len(missing)
    notes = [f"too little: {', '.join(missing)}"] if missing else []
    remarks = [*notes, *killing.beside, *diary.faults]
    injected = sum(killing.done.values())
    return Finding(expected, found, diary.load, injected, least_load, sum(killing.plan.values()), remarks)
