"""`invitree counters shards`: another number of shards, while nothing else runs."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from app.cli.counters import DataOption, JsonOption, Restored, restore, run, tell_restored
from app.cli.counters import app as app
from app.cli.output import progress, say, show_json, show_table, waiting
from app.kit.errors import Unavailable
from app.resources import Resources, open_resources
from app.settings import MOST_SHARDS, Settings
from app.tracking import clearing, shards
from app.worker import tracking
from app.worker.held import Waits

ACTOR = "command_line"
PATIENCE_SECONDS = 60.0
PAUSE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Found:
    """`waiting`: batches in the streams of all shards; `sessions`: of other processes, in the database."""

    stored: int | None
    waiting: int
    sessions: int


@app.command("shards")
def change_shards(
    number: Annotated[int, typer.Argument(min=1, max=MOST_SHARDS, help="How many shards there are to be.")],
    execute: Annotated[bool, typer.Option("--execute", help="Do it; without, it is only shown.")] = False,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Spread campaigns over another number of shards: drain, clear Redis, note the number, rebuild the counters.

    With every API and worker stopped. Broken off anywhere, it is run again."""

    async def work(resources: Resources) -> tuple[Found, Restored | None]:
        found = await look(resources)
        return found, await reshard(resources, number) if execute else None

    found, restored = run(work, data)
    if as_json:
        show_json({"executed": execute, "shards": number, **asdict(found), "restored": restored and asdict(restored)})
        return
    rows = [(found.stored or "none yet", number, found.waiting, found.sessions)]
    show_table("Shards", ["now", "wanted", "batches to drain", "sessions of other processes"], rows)
    if restored is None:
        say("Dry run: nothing is changed. Stop every API and worker, and add --execute to do it.")
    else:
        tell_restored(restored)
        say(f"Clicks are kept in {number} shards now: start everything with TRACK_SHARDS={number}.")


async def look(resources: Resources) -> Found:
    batches = await clearing.waiting(resources.redis)
    async with resources.db.system() as session:
        return Found(await shards.stored(session), sum(batches.values()), await shards.count_others(session))


async def reshard(resources: Resources, number: int) -> Restored:
    """Conflict `processes_running` while any other is connected; Unavailable where the streams cannot be drained."""
    async with resources.db.system() as session:
        await shards.keep_others_out(session)
        async with open_resources(spread(resources, await shards.stored(session) or number)) as before:
            await drain(before)
        await shards.require_kept_out(session)
        await clear(resources)
        await shards.change(session, shards=number, actor=ACTOR)
    async with open_resources(spread(resources, number)) as after:
        return await restore(after, merchant=None, campaign=None)


def spread(resources: Resources, number: int) -> Settings:
    return resources.settings.model_copy(update={"track_shards": number})


async def drain(resources: Resources) -> None:
    """All shards that have something: another number may have been counted with, unnoticed."""
    left = await clearing.waiting(resources.redis)
    with waiting("Draining", sum(left.values())) as (done, waits):
        until = time.monotonic() + PATIENCE_SECONDS
        while left:
            for shard in left:
                await tracking.drain_shard(resources, shard)
            before, left = left, await clearing.waiting(resources.redis)
            drained = sum(before.values()) - sum(left.values())
            done(drained)
            if drained:
                until = time.monotonic() + PATIENCE_SECONDS
            elif left:
                await wait(until, list(left), waits)


async def wait(until: float, left: list[int], waits: Waits) -> None:
    """Whoever drained last may have died with its lease."""
    if time.monotonic() > until:
        raise Unavailable(
            "counters_behind", f"The streams of shards {left} were not drained in {PATIENCE_SECONDS:.0f} s."
        )
    waits(f"somebody has drained shards {left} until now")
    await asyncio.sleep(PAUSE_SECONDS)


async def clear(resources: Resources) -> None:
    with progress() as bar:
        task = bar.add_task("Clearing Redis", total=None)
        await clearing.clear(resources.redis, tell=lambda keys: bar.advance(task, keys))
