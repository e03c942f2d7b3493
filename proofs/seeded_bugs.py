"""Planted bugs, each into a running copy of the application: the proof that is there for it must go red."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import msgspec
from sqlalchemy import update

from app.cli.output import progress
from app.embedded.server import last_lines
from app.kit import ids
from app.models import Participant
from app.tracking import queries
from proofs.crash_points import in_api, in_worker, new_traffic, wrongs
from proofs.frame import forks, truth
from proofs.frame.command import Entry
from proofs.frame.lines import Line
from proofs.frame.report import Finding
from proofs.frame.stage import Stage
from proofs.frame.traffic import AGENT, TRACKING, Traffic, open_scene

PATIENCE = 900
STALL_SECONDS = 1.2
RIVALS_PATIENCE = 60.0
TRIAL_PATIENCE = 120.0
# A change is known everywhere within a moment; what nobody knows is asked for again after a second.
CHANGE_SECONDS = 2.5


@dataclass(slots=True)
class Trial:
    """One small proof, run with bugs or without: what it found wrong."""

    stage: Stage
    steady: forks.Fork
    bugs: Sequence[str]
    load: int = 0

    def count(self, traffic: Traffic) -> None:
        self.load += traffic.diary.load


async def killed_api(trial: Trial) -> list[str]:
    """SIGKILL under load: what was acknowledged is there."""
    scene = await open_scene(trial.stage, inviters=6)
    await truth.end_leases(trial.stage.resources)
    with forks.api(trial.stage, *trial.bugs) as doomed, forks.worker(trial.stage):
        traffic = Traffic(scene, [doomed.base_url, trial.steady.base_url], mix=TRACKING, pause=0.01, patience=3.0)
        async with traffic.flowing():
            await asyncio.sleep(0.6)
            doomed.kill()
            await asyncio.sleep(0.1)
        trial.count(traffic)
        return await wrongs(trial.stage, traffic)


async def undrained(trial: Trial, *failpoints: str) -> list[str]:
    """Before anything is drained the live counters show each event once, however often it was sent."""
    scene = await open_scene(trial.stage, inviters=6)
    with forks.api(trial.stage, *failpoints, *trial.bugs) as server:
        traffic = new_traffic(scene, server)
        await traffic.settle(96)
    trial.count(traffic)
    shown = await truth.live_counters(trial.stage.resources, scene.campaign.id, ready=False)
    told = {name: number for name, number in traffic.diary.told.items() if number}
    counted = {name: number for name, number in (shown or {}).items() if name != "unique_visitors"}
    return ([] if counted == told else [f"shown {counted}, told {told}"]) + await wrongs(trial.stage, traffic)


async def resent(trial: Trial) -> list[str]:
    return await undrained(trial, "batch-script-unanswered")


async def stalled_redis(trial: Trial) -> list[str]:
    """Redis stands still: every link leads on, every event is taken once, and none is refused."""
    scene = await open_scene(trial.stage, inviters=12)
    valkey = trial.stage.stack.pids["valkey"]
    with ExitStack() as running:
        servers = [running.enter_context(forks.api(trial.stage, *trial.bugs)) for _ in range(2)]
        addresses = [server.base_url for server in servers]
        traffic = Traffic(scene, addresses, mix={"visit": 50, "events": 50}, pause=0.01, patience=5.0)
        async with traffic.flowing():
            await asyncio.sleep(0.3)
            os.kill(valkey, signal.SIGSTOP)
            try:
                await asyncio.sleep(STALL_SECONDS)
            finally:
                os.kill(valkey, signal.SIGCONT)
            await asyncio.sleep(0.3)
    trial.count(traffic)
    refused = {status: number for status, number in traffic.diary.statuses.items() if status >= 500}
    faults = [f"refused {refused}"] if refused else []
    faults += [f"{traffic.diary.unrecorded} visits not recorded"] if traffic.diary.unrecorded else []
    return faults + await wrongs(trial.stage, traffic)


async def rival_batches(trial: Trial) -> list[str]:
    """Batches of the same people, straight into Postgres, many at once."""
    scene = await open_scene(trial.stage, inviters=40)
    merchant_id, campaign_id = scene.merchant.test_id, scene.campaign.id
    targets = [queries.target(merchant_id, campaign_id, inviter.id) for inviter in scene.inviters]
    people = msgspec.json.encode(targets).decode()
    with forks.program(trial.stage, ["python", "-m", "proofs.frame.rivals", people], *trial.bugs) as rivals:
        await asyncio.to_thread(rivals.process.join, RIVALS_PATIENCE)
        faults = [] if rivals.process.exitcode == 0 else [last_lines(rivals.log, 3)]
    trial.load += len(scene.inviters)
    return faults


async def killed_worker(trial: Trial) -> list[str]:
    """The worker dies between its last statement and its commit."""
    _, faults, load = await in_worker(trial.stage, trial.steady, [*trial.bugs, "drain-before-commit"])
    trial.load += load
    return faults


async def both_ways(trial: Trial) -> list[str]:
    """One batch comes by Redis and by the fallback."""
    _, faults, load = await in_api(trial.stage, trial.steady, ["batch-script-late"], trial.bugs)
    trial.load += load
    return faults


async def changes(trial: Trial) -> list[str]:
    """A code that nobody had is given away; a campaign ends."""
    scene = await open_scene(trial.stage, inviters=1)
    code, inviter = ids.new_invite_code(), scene.inviters[0]
    headers = {"User-Agent": AGENT}
    with forks.api(trial.stage, *trial.bugs) as server:
        line = Line(server.base_url, patience=5.0)
        unknown = await line.get(f"/i/{code}", headers)
        known = await line.get(f"/i/{inviter.invite_code}", headers)
        async with trial.stage.resources.db.tenant(scene.merchant.test_id) as session:
            await session.execute(update(Participant).where(Participant.id == inviter.id).values(invite_code=code))
        ended = await line.post(f"/v1/campaigns/{scene.campaign.id}/end", scene.key, b"{}")
        await asyncio.sleep(CHANGE_SECONDS)
        # In this order: a look-up would tell of the campaign, too.
        late = await line.get(f"/i/{inviter.invite_code}", headers)
        found = await line.get(f"/i/{code}", headers)
        line.close()
    trial.load += 5
    shown = await truth.live_counters(trial.stage.resources, scene.campaign.id, ready=False) or {}
    faults = (
        [] if unknown.status == 404 and known.status == 302 and ended.status == 200 else [f"set-up: {ended.body!r}"]
    )
    faults += [] if found.status == 302 else [f"the new code answers {found.status}"]
    return faults + ([] if late.status == 302 and shown.get("clicks") == 1 else [f"the end was not heard: {shown}"])


async def _money(trial: Trial, small: str) -> list[str]:
    """By a program of its own, through the use cases; it says what it found."""
    with forks.program(trial.stage, ["python", "-m", "proofs.money.trial", small], *trial.bugs) as program:
        await asyncio.to_thread(program.process.join, TRIAL_PATIENCE)
        faults = [] if program.process.exitcode == 0 else [last_lines(program.log, 3)]
    trial.load += 5
    return faults


async def split_money(trial: Trial) -> list[str]:
    """Orders and their refunds in parts: no more is taken back than was earned."""
    return await _money(trial, "split")


async def told_again(trial: Trial) -> list[str]:
    """An order, told in other orders and more than once, ends the same."""
    return await _money(trial, "told")


async def rival_releases(trial: Trial) -> list[str]:
    """What is refunded is released in the same moment."""
    return await _money(trial, "rivals")


async def rival_withdrawals(trial: Trial) -> list[str]:
    """What is refunded and released is withdrawn in the same moment, by many."""
    return await _money(trial, "withdrawals")


async def silent_provider(trial: Trial) -> list[str]:
    """A provider carries out and does not say so."""
    return await _money(trial, "payouts")


async def contrary_results(trial: Trial) -> list[str]:
    """A result file says the contrary of an earlier one."""
    return await _money(trial, "results")


async def early_releases(trial: Trial) -> list[str]:
    """Nothing is paid out while the goods may come back."""
    return await _money(trial, "held")


Small = Callable[[Trial], Awaitable[list[str]]]
BUGS: dict[str, Small] = {
    "ack-before-redis": killed_api,
    "count-without-dedupe": undrained,
    "trim-before-commit": killed_worker,
    "unsorted-batch": rival_batches,
    "fallback-new-id": stalled_redis,
    "breaker-drops": stalled_redis,
    "position-outside-transaction": killed_worker,
    "guard-forgotten": resent,
    "rollup-from-all-rows": both_ways,
    "unknown-codes-for-ever": changes,
    "deaf-to-changes": changes,
    "refund-forgets-earlier-parts": split_money,
    "refund-cut-by-differences": split_money,
    "order-counted-twice": told_again,
    "refund-counted-twice": told_again,
    "release-without-lock": rival_releases,
    "withdrawal-read-before-lock": rival_withdrawals,
    "payout-key-remade": silent_provider,
    "results-believed-again": contrary_results,
    "hold-ignores-refund-window": early_releases,
}
QUICK = (
    *("ack-before-redis", "count-without-dedupe", "breaker-drops"),
    *("refund-counted-twice", "payout-key-remade", "hold-ignores-refund-window"),
)


async def run(stage: Stage, quick: bool) -> Finding:
    chosen = {name: small for name, small in BUGS.items() if not quick or name in QUICK}
    plan = [("", small) for small in dict.fromkeys(chosen.values())] + list(chosen.items())
    load, found, alarms = 0, [], []
    with forks.api(stage) as steady, progress() as bar:
        for bug, small in bar.track(plan, description="bugs"):
            trial = Trial(stage, steady, [bug] if bug else [])
            try:
                faults = await attempt(small, trial)
            except forks.UnplantedError as error:
                alarms.append(str(error))
                continue
            load += trial.load
            if bug and faults:
                found.append(bug)
            elif faults:
                alarms += [f"{small.__name__} without a bug: {fault}" for fault in faults]
    missed = [f"{bug} was not found by {small.__name__}" for bug, small in chosen.items() if bug not in found]
    return Finding(
        expected={"bugs found": len(chosen), "false alarms": 0},
        found={"bugs found": len(found), "false alarms": len(alarms)},
        load=load,
        injected=len(chosen),
        least_load=len(plan) * 5,
        least_injected=6,
        faults=[*alarms, *missed],
    )


async def attempt(small: Small, trial: Trial) -> list[str]:
    """A proof that cannot even be brought to its end has found something, too."""
    try:
        return await small(trial)
    except forks.UnplantedError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a bug makes of it
        return [repr(error)]


PROOF = Entry("seeded-bugs", run, seconds=PATIENCE, weight=26)
