"""`invitree payouts rails`: the providers of a merchant; and what they say when they are asked."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from app.cli import environment
from app.cli.checks import check_user
from app.cli.desk import Desk, at_desk, dry_run_notice
from app.cli.output import show_json
from app.payouts import acting
from app.payouts.carrying import Claim
from app.payouts.rails import asking, comparing, credentials
from app.payouts.rails.comparing import Recorded
from app.payouts.rails.protocol import Answer, Kind
from app.resources import Resources
from app.worker import payouts as worker

app = typer.Typer(help="Credentials with providers: sealed, never shown again.", no_args_is_help=True)


@app.command("set")
def set_(
    kind: Annotated[Kind, typer.Argument(help="Whose.")],
    file: Annotated[
        Path, typer.Argument(help="JSON with the fields of PUT /v1/payout-rails/KIND.", exists=True, dir_okay=False)
    ],
    merchant: Annotated[str, typer.Option("--merchant", help="Whose (mch_…), live or test.")],
    user: Annotated[str, typer.Option("--as", callback=check_user, help="The merchant user who acts (usr_…).")],
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


def read_credentials(file: Path) -> credentials.Settings:
    """Of an account that is not the merchant's any more: used once, and not kept."""
    kinds: tuple[type[credentials.Settings], ...] = (credentials.WechatSettings, credentials.AlipaySettings)
    for type_ in kinds:
        with contextlib.suppress(msgspec.DecodeError):
            return msgspec.json.decode(file.read_bytes(), type=type_)
    raise typer.BadParameter("JSON with the fields of PUT /v1/payout-rails/KIND", param_hint="--credentials")


def add_answers(
    report: dict[str, Any],
    sent: Sequence[tuple[Claim, Recorded]],
    data: Path | None,
    older: credentials.Settings | None,
) -> None:
    """Into the report: what providers say of each transfer, asked outside every transaction, each with the account that
    it was sent with."""
    known = [(asking.with_its_account(claim, older), recorded) for claim, recorded in sent]
    askable = [(claim, recorded) for claim, recorded in known if claim is not None]
    lost = [recorded.payout_id for claim, recorded in known if claim is None]

    async def ask(resources: Resources) -> list[Any]:
        return await worker.ask_after(resources, [claim for claim, _ in askable])

    note_answers(report, [each for _, each in askable], environment.run(ask, data), lost)


def note_answers(
    report: dict[str, Any], asked: Sequence[Recorded], answers: Sequence[Answer], lost: Sequence[str]
) -> None:
    """Of what nothing was told it is not known that it agrees: its ids are named."""
    told = list(zip(asked, answers, strict=True))
    silent = [recorded.payout_id for recorded, answer in told if answer.state == "unknown"]
    report["totals"] |= {"asked": len(answers), "unanswered": len(silent), "not_asked": len(lost)}
    report |= {"unanswered": silent, "not_asked": [*lost]}
    report["differences"] += [asdict(difference) for difference in comparing.differences(told)]
