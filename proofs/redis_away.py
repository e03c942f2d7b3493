"""Redis stopped, paused, full and wiped under load: every redirect leads on, what is acknowledged is recorded once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx
from sqlalchemy import text

from app.cli.counters import compare
from app.cli.output import say
from app.tracking.keys import Keys
from proofs.frame import truth
from proofs.frame.command import Entry
from proofs.frame.history import write_history
from proofs.frame.mishaps import Mishap, own_redis, wipe
from proofs.frame.programs import Program, work
from proofs.frame.report import Finding
from proofs.frame.server import Server, serve
from proofs.frame.stage import Stage
from proofs.frame.traffic import TRACKING, Traffic, open_scene
from tests.factories.tracking import OwnValkey

MISHAPS = ("stopped", "paused", "full")
ROUNDS, QUICK_ROUNDS = 3, 1
SECONDS, QUICK_SECONDS = 6.0, 1.5
EVENTS, QUICK_EVENTS = 1_000_000, 20_000
PARTICIPANTS, QUICK_PARTICIPANTS = 5_000, 300
LEAST_LOAD, QUICK_LEAST_LOAD = 5_000, 400
PROCESSES = 2
# What a client thinks between two requests: a quick run shares its cores.
PAUSE, QUICK_PAUSE = 0.02, 0.06
PATIENCE = 900
# From the wipe until the live counters are shown again, found by a worker of its own while events arrive.
REBUILD_SECONDS = 60.0
# As clients see it. A quick run shares its machine with the checks: there it shows that nobody waits for Redis.
P99_SECONDS, QUICK_P99_SECONDS = 0.25, 0.5
_REBUILT = text("""
    SELECT bool_and(rebuilt) AND NOT EXISTS (SELECT FROM counter_repairs) FROM stream_positions
    HAVING bool_and(epoch = :epoch)
""")


@dataclass(slots=True)
class Trial:
    stage: Stage
    valkey: OwnValkey
    server: Server
    worker: Program
    quick: bool
    injected: int = 0
    slow: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def rounds(self) -> int:
        return QUICK_ROUNDS if self.quick else ROUNDS

    @property
    def addresses(self) -> list[str]:
        return [process.base_url for process in self.server.processes]


async def run(stage: Stage, quick: bool) -> Finding:
    async with own_redis(stage) as (own, valkey):
        events, people = (QUICK_EVENTS, QUICK_PARTICIPANTS) if quick else (EVENTS, PARTICIPANTS)
        past = await write_history(own, events=events, participants=people)
        with serve(own, processes=PROCESSES) as server, work(own) as worker:
            trial = Trial(own, valkey, server, worker, quick)
            await rebuilt(trial)
            found, load = await bypass(trial)
            wiped, more = await lose(trial, past, events)
            found |= wiped
            trial.faults += server.faults()
    expected = dict.fromkeys(found, 0) | {"losses that were said": 1}
    return Finding(
        expected=expected,
        found=found,
        load=load + more,
        injected=trial.injected,
        least_load=QUICK_LEAST_LOAD if quick else LEAST_LOAD,
        least_injected=(trial.rounds * len(MISHAPS) * PROCESSES) + 1,
        faults=trial.faults,
    )


PROOF = Entry("redis-away", run, seconds=PATIENCE, weight=16)


async def bypass(trial: Trial) -> tuple[dict[str, int], int]:
    """Redis fails, and comes back, while a worker drains and repairs: what was found, zero each, and the requests."""
    scene = await open_scene(trial.stage)
    traffic = Traffic(scene, trial.addresses, mix=TRACKING, pause=QUICK_PAUSE if trial.quick else PAUSE)
    async with traffic.flowing():
        for name in MISHAPS * trial.rounds:
            await asyncio.sleep(0.5)
            await fail(trial, traffic, Mishap(name, trial.stage, trial.valkey))
    batches, slow = await acknowledged(trial)
    say(f"batches that Postgres took: {batches}; {slow} of them in more than {P99_SECONDS * 1000:.0f} ms")
    found = await truth.tracking(trial.stage, scene, traffic.diary)
    found |= answered(traffic) | {
        "times that redirects were slow at the 99th hundredth": trial.slow,
        "losses without a wipe": said(trial.worker),
    }
    say(traffic.diary.summary())
    trial.faults += traffic.diary.faults
    return found, traffic.diary.load


async def fail(trial: Trial, traffic: Traffic, mishap: Mishap) -> None:
    loop = asyncio.get_running_loop()
    beginning = loop.time()
    async with mishap.under_way():
        open_ = await breakers(trial, wanted=1)
        began = loop.time()
        await asyncio.sleep(QUICK_SECONDS if trial.quick else SECONDS)
        trial.injected += open_ if await mishap.injected() else 0
        ended = loop.time()
    taken = [r for r in traffic.diary.redirects if began <= r.at - r.seconds and r.at <= ended]
    ninety_nine = sorted(r.seconds for r in taken)[int(len(taken) * 0.99)] if taken else float("inf")
    trial.slow += ninety_nine > (QUICK_P99_SECONDS if trial.quick else P99_SECONDS)
    back = await breakers(trial, wanted=0)
    if back < PROCESSES:
        trial.faults.append(f"{mishap.name}: Redis is not used again")
    longest = max((r.seconds for r in traffic.diary.redirects if r.at >= beginning), default=0.0)
    say(
        f"redis {mishap.name}: {len(taken)} redirects from Postgres, 99 % within {ninety_nine * 1000:.0f} ms;"
        f" the longest from its beginning to its end took {longest * 1000:.0f} ms"
    )


async def breakers(trial: Trial, *, wanted: int) -> int:
    """How many processes' breakers are open (1) or closed (0), when all are or it has taken too long."""
    deadline = time.monotonic() + 15
    while True:
        found = await _count_breakers(trial.addresses, wanted)
        if found == PROCESSES or time.monotonic() > deadline:
            return found
        await asyncio.sleep(0.05)


async def _count_breakers(addresses: Sequence[str], wanted: int) -> int:
    line = f'invitree_tracking_breaker_open{{shard="0"}} {wanted:.1f}'
    return sum(line in page for page in await metrics_of(addresses))


async def metrics_of(addresses: Sequence[str]) -> list[str]:
    async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
        return [(await client.get(f"{address}/metrics")).text for address in addresses]


async def acknowledged(trial: Trial) -> tuple[int, int]:
    """Batches that Postgres took, and those of them that took longer than promised, as the processes measured it."""
    pages = await metrics_of(trial.addresses)
    within, all_ = (
        sum(float(line.rpartition(" ")[2]) for page in pages for line in page.splitlines() if line.startswith(name))
        for name in (
            f'invitree_tracking_ack_seconds_bucket{{le="{P99_SECONDS}",store="postgres"}}',
            'invitree_tracking_ack_seconds_count{store="postgres"}',
        )
    )
    return int(all_), int(all_ - within)


def answered(traffic: Traffic) -> dict[str, int]:
    diary = traffic.diary
    return {
        "redirects refused": sum(redirect.status != 302 for redirect in diary.redirects),
        "redirects without an event": diary.unrecorded,
        "answers of 500 and more": sum(number for status, number in diary.statuses.items() if status >= 500),
        "requests without an answer": diary.broken.total(),
    }


async def lose(trial: Trial, past: str, events: int) -> tuple[dict[str, int], int]:
    """Redis is wiped while events arrive."""
    scene = await open_scene(trial.stage)
    traffic = Traffic(scene, trial.addresses, mix=TRACKING, pause=0.1)
    async with traffic.flowing():
        await asyncio.sleep(QUICK_SECONDS if trial.quick else SECONDS)
        before = await epoch(trial.stage)
        wiped = await wipe(trial.stage)
        began = time.monotonic()
        await asyncio.sleep(0.1)
        trial.injected += before != await epoch(trial.stage)
        await rebuilt(trial)
        took = time.monotonic() - began
        await asyncio.sleep(0.5)
    at_all = await truth.tracking(trial.stage, scene, traffic.diary)
    lost = at_all["acknowledged visits lost"] + at_all["acknowledged events lost"]
    for hit in wiped:
        traffic.diary.visits.discard(hit.id)
        traffic.diary.events.told.pop(hit.client_event_id or "", None)
    found = await truth.tracking(trial.stage, scene, traffic.diary)
    report = await compare(trial.stage.resources, merchant=None, campaign=past)
    say(
        f"redis wiped: {lost} events are missing, of {len(wiped)} in its stream;"
        f" {events} events rebuilt in {took:.1f} s while events arrived"
    )
    say(traffic.diary.summary())
    trial.faults += [*traffic.diary.faults, *map(str, report.differences[:5])]
    return {f"{name}, wiped": number for name, number in (found | answered(traffic)).items()} | {
        "rebuilt counters that differ": len(report.differences),
        "rebuilds that took too long": int(took > REBUILD_SECONDS),
        "losses that were said": said(trial.worker),
    }, traffic.diary.load


async def rebuilt(trial: Trial) -> None:
    """Until the worker has repaired all of this epoch."""
    given = {"epoch": await epoch(trial.stage)}
    async with asyncio.timeout(2 * REBUILD_SECONDS):
        while True:
            async with trial.stage.resources.db.system() as session:
                if await session.scalar(_REBUILT, given):
                    return
            await asyncio.sleep(0.1)


async def epoch(stage: Stage) -> str:
    """The worker gives an empty Redis one."""
    while True:
        if found := await stage.resources.redis.get(Keys(0).epoch):
            return bytes(found).decode() if isinstance(found, bytes) else found
        await asyncio.sleep(0.01)


def said(worker: Program) -> int:
    """How often the worker has said that Redis lost its past."""
    return worker.log.read_text("utf-8", "replace").count('"redis_lost_its_past"')
