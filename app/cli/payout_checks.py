"""What finance looks after: does it all agree, and what is stuck."""

from __future__ import annotations

from dataclasses import asdict, replace
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli import payout_rails, payout_tables
from app.cli.desk import Desk, dry_run_notice
from app.cli.output import Exit, say, show_json, show_table
from app.cli.payout_desk import Data, Execute, Json, Looker, Merchant, instant, look, run
from app.cli.sheets import OutFile, write_sheet
from app.kit.spreadsheets import Cell
from app.payouts import carrying, checkup, provider_list, reconciliation, terms
from app.payouts.rules import FeeBearer

NOT_AGREED = ("differences", "refused", "unanswered", "not_asked")
COLUMNS = ("code", "check", "subject_id", "expected", "found")
InBatch = Annotated[str | None, typer.Option("--batch", help="Of the batches only this one (bat_…).")]
PaidUntil = Annotated[str | None, typer.Option("--until", help="… and before this day or instant.")]


def reconcile(
    merchant: Merchant,
    batch: InBatch = None,
    user: Looker = None,
    ask: Annotated[bool, typer.Option("--ask", help="Also ask the providers after each transfer.")] = False,
    credentials: Annotated[
        Path | None,
        typer.Option(
            help="With --ask: JSON of an account that is the merchant's no more; not kept.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    listed: Annotated[
        Path | None,
        typer.Option(
            "--list",
            help="CSV of a provider: payout_id or key, amount, external_id, status.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    since: Annotated[str | None, typer.Option(help="The list is complete for what was paid from here on …")] = None,
    until: PaidUntil = None,
    out: OutFile = None,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Compare payouts, withdrawals, commissions, ledger, providers; exit code 4 where they differ or one is silent."""
    theirs = provider_list.parse(listed.read_bytes()) if listed else None
    older = payout_rails.read_credentials(credentials) if credentials else None
    paid: dict[str, Any] = {"paid_from": instant(since, "--since"), "paid_before": instant(until, "--until")}

    async def work(desk: Desk) -> dict[str, Any]:
        own: dict[str, Any] = {"merchant_id": desk.merchant_id, "batch_id": batch}
        report = (await reconciliation.reconcile(desk.session, **own)).as_dict()
        if theirs is not None:
            booked = await provider_list.load(desk.session, **own, transfers=theirs.transfers, **paid)
            report["differences"] += map(asdict, provider_list.compare(theirs.transfers, booked))
            report["totals"]["listed"] = len(theirs.transfers)
        sent = await carrying.look(desk.session, **own) if ask else []
        return {"report": report, "sent": sent}

    found = look(work, merchant, data, user, "reconciled")
    report = found["report"] | {"refused": [asdict(fault) for fault in theirs.faults] if theirs else []}
    if ask:
        payout_rails.add_answers(report, found["sent"], data, older)
    report["ok"] = not any(report.get(name) for name in NOT_AGREED)
    if out is not None:
        write_sheet(out, COLUMNS, map(_cells, report["differences"]))
    if as_json:
        show_json(report)
    else:
        payout_tables.show_report(report)
    if not report["ok"]:
        raise typer.Exit(Exit.PARTLY)


def _cells(difference: dict[str, Any]) -> list[Cell]:
    """Amounts stay numbers: of a text a spreadsheet adds up nothing."""
    found = [difference[name] for name in COLUMNS]
    return [Decimal(value) if isinstance(value, int) else value for value in found]


def doctor(merchant: Merchant, user: Looker = None, as_json: Json = False, data: Data = None) -> None:
    """What is stuck, since when, and who has to act; exit code 1 where something is."""

    async def work(desk: Desk) -> dict[str, Any]:
        stuck = await checkup.examine(desk.session, merchant_id=desk.merchant_id, now=desk.now)
        aged = [{**asdict(one), "hours": int((desk.now - one.since).total_seconds()) // 3_600} for one in stuck]
        return {"ok": not stuck, "stuck": aged}

    found = look(work, merchant, data, user, "examined")
    if as_json:
        show_json(found)
    elif found["ok"]:
        say("Nothing is stuck.")
    else:
        payout_tables.show_stuck(found["stuck"])
    if not found["ok"]:
        raise typer.Exit(Exit.FAILED)


def settings(
    merchant: Merchant,
    user: Looker = None,
    minimum: Annotated[int | None, typer.Option(min=10, max=100_000_000, help="The least withdrawal, in fen.")] = None,
    fee: Annotated[int | None, typer.Option(min=0, max=1_000_000, help="Of each payout, in fen …")] = None,
    fee_bps: Annotated[
        int | None, typer.Option(min=0, max=1_000, help="… and this much of its amount, in basis points.")
    ] = None,
    fee_bearer: Annotated[FeeBearer | None, typer.Option(help="payee: it is withheld, and the net goes out.")] = None,
    execute: Execute = False,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Show or change the least withdrawal and the fee, for withdrawals from now on; changing takes --as."""
    given = {"minimum_minor": minimum, "fee_minor": fee, "fee_bps": fee_bps, "fee_bearer": fee_bearer}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if changes and user is None:
        raise typer.BadParameter("changing takes a user", param_hint="--as")

    async def work(desk: Desk) -> dict[str, Any]:
        found = await terms.get(desk.session, merchant_id=desk.merchant_id)
        if changes:
            who = {"merchant_id": desk.merchant_id, "actor_id": user or ""}
            found = await terms.change(desk.session, **who, terms=replace(found, **changes), now=desk.now)
        return asdict(found)

    done = run(work, merchant, data, execute=execute)
    if as_json:
        show_json({"executed": execute, **done} if changes else done)
    else:
        show_table("Payout settings", ["", ""], [(name, str(value)) for name, value in done.items()])
    if changes and not execute:
        dry_run_notice()
