"""`invitree demo`: starts everything, plays a whole campaign over HTTP, checks it, and keeps serving."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from pathlib import Path
from typing import Annotated

import httpx
import typer

from app.cli import output
from app.cli.demo import carrying, cashier, checking, funding, opening, paying, shortfall, spreading, tables
from app.cli.demo.client import DemoError
from app.cli.demo.stage import Stage
from app.cli.environment import CHECKOUT
from app.cli.output import Exit, say
from app.cli.serve import running

SCANS_PER_PERSON = 4
EVENTS_PER_PERSON = 20


def demo(
    once: Annotated[bool, typer.Option("--once", help="Check the outcome and stop; exit 1 on any difference.")] = False,
    people: Annotated[int, typer.Option(min=20, max=5_000, help="How many friends sign up.")] = 150,
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8000,
    data: Annotated[Path | None, typer.Option(help="Data folder of the embedded servers.")] = None,
) -> None:
    """Play a whole campaign against a running server, from posters and signups to a provider's payouts."""
    # A line for each of some thousand requests would hide the play, and what it has refused is in its tables.
    os.environ.setdefault("INVITREE_LOG_LEVEL", "error")
    with running("127.0.0.1", 0 if once else port, data) as served:
        found = asyncio.run(_play(served.base_url, people))
        for difference in found:
            say(f"[red]difference[/red] {difference}")
        say("Everything adds up." if not found else f"{len(found)} differences.")
        if not once:
            _serve_on(served.base_url)
    raise typer.Exit(Exit.FAILED if found else Exit.DONE)


async def _play(base_url: str, people: int) -> list[str]:
    async with httpx.AsyncClient(base_url=base_url, timeout=60, trust_env=False) as http:
        with output.progress() as progress:
            stage = Stage(http, people, CHECKOUT / ".data" / "demo", progress)
            found, is_played = await _play_and_check(stage)
        if is_played:
            await tables.show_all(stage)
            await tables.show_places(stage, base_url)
        return found


async def _play_and_check(stage: Stage) -> tuple[list[str], bool]:
    """The differences; False where the play could not go on to its end."""
    found: list[str] = []
    is_played = False
    try:
        await _acts(stage)
        found = await checking.differences(stage)
        is_played = True
    except* DemoError as failed:
        found = [str(error) for error in leaves(failed)]
    return found, is_played


def leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    """Groups stand in groups where acts do several things at once."""
    found: list[BaseException] = []
    for error in group.exceptions:
        found += leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


async def _acts(stage: Stage) -> None:
    await opening.register(stage)
    await opening.publish(stage)
    stage.folder /= stage.campaign["id"]
    stage.folder.mkdir(parents=True)
    await opening.enrol_promoters(stage)
    await opening.hang_posters(stage)
    await spreading.spread(stage)
    await spreading.scan_posters(stage, stage.people * SCANS_PER_PERSON)
    await spreading.report_events(stage, stage.people * EVENTS_PER_PERSON)
    await spreading.buy(stage)
    await cashier.sell(stage)
    await spreading.refund(stage, share=0.08, amounts=(5_900, 2_000, 1_111))
    await funding.buy_plan(stage)
    await paying.pass_the_hold(stage)
    await paying.give_accounts(stage)
    await paying.pay_out(stage)
    async with asyncio.TaskGroup() as group:
        # A process takes its time to start.
        group.create_task(funding.prepay(stage))
        await _second_wave(stage)
    await funding.fund(stage)
    await carrying.pay_by_provider(stage)


async def _second_wave(stage: Stage) -> None:
    await spreading.refund(stage, share=0.04, amounts=(5_900, 999), after_payout=True)
    fallen = await shortfall.fall_and_rise(stage)
    await paying.pass_the_hold(stage)
    await shortfall.show_risen(stage, fallen)
    await carrying.prepare(stage)


def _serve_on(base_url: str) -> None:
    stop = threading.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, lambda _number, _frame: stop.set())
    say(f"Still serving at {base_url}; stop with Ctrl-C.")
    stop.wait()
