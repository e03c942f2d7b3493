"""`invitree payouts rails`: the providers of a merchant; and what they say when they are asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from app.cli import environment
from app.cli.desk import Desk, at_desk, dry_run_notice
from app.cli.output import show_json
from app.payouts import acting
from app.payouts.carrying import Claim
from app.payouts.rails import comparing, credentials
from app.payouts.rails.comparing import Recorded
from app.payouts.rails.protocol import Kind
from app.resources import Resources
from app.worker import payouts as worker

app = typer.Typer(help="Credentials with providers: sealed, never shown again.", no_args_is_help=True)


@app.command("set")
def set_(
    kind: Annotated[Kind, typer.Argument(help="Whose.")],
    file: Annotated[Path, typer.Argument(help="JSON with the fields of PUT /v1/payout-rails/KIND.", exists=True)],
    merchant: Annotated[str, typer.Option("--merchant", help="Whose (mch_…), live or test.")],
    user: Annotated[str, typer.Option("--as", help="The merchant user who acts (usr_…).")],
    execute: Annotated[bool, typer.Option("--execute", help="Do it; without, it is tried and undone.")] = False,
    data: Annotated[Path | None, typer.Option(help="Data folder of the embedded servers.")] = None,
) -> None:
    """Give a merchant's credentials for a provider, in place of those before."""
    try:
        settings = msgspec.json.decode(file.read_bytes(), type=credentials.TYPES[kind])
    except msgspec.DecodeError as error:
        raise typer.BadParameter(f"{file.name}: {error}", param_hint="FILE") from None

    async def work(desk: Desk) -> dict[str, Any]:
        own = {"merchant_id": desk.merchant_id, "actor_id": user}
        await acting.require(desk.session, **own, step="approve")
        row = await credentials.save(desk.session, **own, settings=settings, now=desk.now)
        return desk.show(credentials.view(row))

    async def at(resources: Resources) -> dict[str, Any]:
        return await at_desk(resources, merchant, work, execute=execute)

    show_json({"executed": execute, **environment.run(at, data)})
    if not execute:
        dry_run_notice()


def add_answers(report: dict[str, Any], sent: Sequence[tuple[Claim, Recorded]], data: Path | None) -> None:
    """Into the report: what providers say of each transfer, asked outside every transaction."""

    async def ask(resources: Resources) -> list[Any]:
        return await worker.ask_after(resources, [claim for claim, _ in sent])

    answers = environment.run(ask, data)
    states = Counter(answer.state for answer in answers)
    recorded = [each for _, each in sent]
    found = comparing.differences(zip(recorded, answers, strict=True))
    report["totals"] |= {"asked": len(answers), "unanswered": states["unknown"]}
    report["differences"] += [asdict(difference) for difference in found]
    report["ok"] = not report["differences"]
