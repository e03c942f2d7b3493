"""What the commands of finance share: their options, and how they look, act and print."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli import environment, payout_tables
from app.cli.checks import check_user
from app.cli.desk import Desk, at_desk, dry_run_notice
from app.cli.output import show_json
from app.kit import clock
from app.payouts import acting
from app.payouts.rules import Channel
from app.resources import Resources


def currency_code(text: str) -> str:
    """Of another spelling there would be nothing to pay, and nothing said."""
    if not re.fullmatch("[A-Z]{3}", text):
        raise typer.BadParameter("three capital letters, like CNY")
    return text


Merchant = Annotated[str, typer.Option("--merchant", help="Whose (mch_…), live or test.")]
User = Annotated[str, typer.Option("--as", callback=check_user, help="The merchant user who acts (usr_…).")]
Looker = Annotated[
    str | None,
    typer.Option("--as", callback=check_user, help="The merchant user who looks (usr_…), for the audit log."),
]
Campaign = Annotated[str | None, typer.Option("--campaign", help="Only members with a commission of it (cmp_…).")]
Batch = Annotated[str, typer.Option("--batch", help="The batch (bat_…).")]
Until = Annotated[
    str | None,
    typer.Option("--until", help="Cut-off: only what was asked for before this day in China, or this instant."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Execute = Annotated[bool, typer.Option("--execute", help="Do it; without, everything is tried and undone.")]
Channels = Annotated[Channel, typer.Option("--channel", help="Only members with an account there; file takes all.")]
Currency = Annotated[str, typer.Option(help="ISO 4217 code.", callback=currency_code)]
Data = Annotated[Path | None, typer.Option(help="Data folder of the embedded servers.")]
Work = Callable[[Desk], Awaitable[dict[str, Any]]]


def run(work: Work, merchant: str, data: Path | None, *, execute: bool = False) -> dict[str, Any]:
    async def at(resources: Resources) -> dict[str, Any]:
        return await at_desk(resources, merchant, work, execute=execute)

    return environment.run(at, data)


def look(work: Work, merchant: str, data: Path | None, user: str | None, action: str) -> dict[str, Any]:
    """Reads only; where a user is named it is written down who looked."""

    async def looked(desk: Desk) -> dict[str, Any]:
        found = await work(desk)
        await write_down(desk, user, f"payouts.{action}", desk.merchant_id)
        return found

    return run(looked, merchant, data, execute=True)


async def write_down(desk: Desk, user: str | None, action: str, subject_id: str) -> None:
    """Who looked at what, where a user is named; one who may not look is refused."""
    if user is not None:
        own = {"merchant_id": desk.merchant_id, "actor_id": user}
        await acting.require(desk.session, **own, step="look")
        acting.record(desk.session, **own, action=action, subject_id=subject_id)


def act(work: Work, merchant: str, data: Path | None, *, execute: bool, as_json: bool) -> dict[str, Any]:
    """Run, say whether it was done, and print the batch and who was skipped."""
    done = {"executed": execute, **run(work, merchant, data, execute=execute)}
    if as_json:
        show_json(done)
    else:
        payout_tables.show_batch(done["batch"])
        payout_tables.show_skipped(done.get("skipped", []))
    if not execute:
        dry_run_notice()
    return done


def instant(text: str | None, option: str) -> datetime | None:
    """A day's beginning in China, or an instant, in UTC; without a zone it is China's."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo is not None else found.replace(tzinfo=clock.SHANGHAI)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter("a day like 2026-11-30, or an instant", param_hint=option) from None
