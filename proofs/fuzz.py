"""Every operation, asked by Schemathesis and by our own nasties: no fault, no surprise, no way in."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import httpx

from app.cli.output import progress
from proofs.frame.command import Entry
from proofs.frame.report import Finding
from proofs.frame.server import Server, serve
from proofs.frame.stage import Stage
from proofs.frame.worlds import join, make_full_world
from proofs.fuzzing import generated
from proofs.fuzzing.controls import controls
from proofs.fuzzing.judge import Judge
from proofs.fuzzing.nasties import Caller, Nasty, nasties
from proofs.fuzzing.wire import send
from tests.factories import make_merchant

CONNECTIONS = 8
# Of each operation, one of them as a stranger.
QUICK_NASTIES = 8
SEED = 20_261_121
PATIENCE = 2_400


async def run(stage: Stage, quick: bool) -> Finding:
    with serve(stage) as server:
        caller = await make_caller(stage, server)
        async with httpx.AsyncClient(base_url=server.base_url, timeout=30, trust_env=False) as client:
            description = (await client.get("/openapi.json")).json()
        chosen = choose(description, caller, quick=quick)
        wild = await send_all(server, Judge(description), chosen)
        tame = await asyncio.to_thread(generated.run, stage, server, caller.key, quick=quick)
        logged = server.faults()
    operations = sum(len(by_method) for by_method in description["paths"].values())
    faults = [*wild, *tame.faults, *(f"logged: {line}" for line in logged)]
    return Finding(
        expected={"operations asked": operations, "faults": 0},
        found={"operations asked": tame.operations, "faults": len(faults)},
        load=tame.requests + len(chosen),
        injected=len(chosen),
        least_load=operations * (10 if quick else 50),
        least_injected=operations * (5 if quick else 50),
        faults=faults,
    )


async def make_caller(stage: Stage, server: Server) -> Caller:
    merchant = await make_merchant(stage.resources)
    world = await make_full_world(stage, server, merchant)
    own, cookie = await join(server, world)
    return Caller(merchant.test_key, world | {"own": own}, cookie)


PROOF = Entry("fuzz", run, seconds=PATIENCE, weight=28)


def choose(description: dict[str, Any], caller: Caller, *, quick: bool) -> list[Nasty]:
    """All, in an order that mixes the operations; a quick run takes as many of each operation's."""
    found: list[Nasty] = []
    dice = random.Random(SEED)
    for probe, parameters in controls(description):
        own = list(nasties(probe, caller, parameters))
        found += pick(dice, own) if quick else own
    dice.shuffle(found)
    return found


def pick(dice: random.Random, own: Sequence[Nasty]) -> list[Nasty]:
    strangers, known = [one for one in own if one.keyless], [one for one in own if not one.keyless]
    return [dice.choice(strangers), *dice.sample(known, min(len(known), QUICK_NASTIES - 1))]


async def send_all(server: Server, judge: Judge, chosen: Sequence[Nasty]) -> list[str]:
    """What was wrong, a line each."""
    faults: list[str] = []
    waiting = iter(chosen)

    async def work() -> None:
        for nasty in waiting:
            fault = await ask(server, judge, nasty)
            if fault:
                faults.append(f"{nasty.name}: {fault}")
            bar.advance(task)

    with progress() as bar:
        task = bar.add_task("nasties", total=len(chosen))
        async with asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(work())
    return faults


async def ask(server: Server, judge: Judge, nasty: Nasty) -> str | None:
    try:
        return judge.fault(nasty, await send(server.base_url, nasty.raw))
    except TimeoutError:
        return "no answer in time"
