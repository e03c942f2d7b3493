"""`invitree payouts`: from who could be paid to what was paid. Without `--execute` everything is tried and undone."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from app.cli import payout_checks, payout_decisions, payout_rails, payout_tables
from app.cli.desk import Desk, counting
from app.cli.output import Exit, show_json
from app.cli.payout_desk import (
    Batch,
    Campaign,
    Channels,
    Currency,
    Data,
    Execute,
    Json,
    Looker,
    Merchant,
    Until,
    User,
    act,
    instant,
    look,
)
from app.cli.sheets import write_private
from app.payouts import exports, planning, results, sending, service
from app.payouts.alipay_file import AlipayFormat, Payer
from app.payouts.payout_file import Format
from app.payouts.planning import Choice
from app.payouts.result_file import parse
from app.payouts.views import batch_view, planned_view, skipped_view

app = typer.Typer(
    help="Payouts: preview, build, approve, export or send, import, cancel, reconcile, settle what is stuck.",
    no_args_is_help=True,
)
app.add_typer(payout_rails.app, name="rails")

Formats = Literal["csv", "xlsx", "alipay"]
Encoding = Literal["utf-8", "gbk"]
LOST = "The batch is exported: run the same command with another --out, it is the same file to the byte."


@app.command()
def preview(
    merchant: Merchant,
    campaign: Campaign = None,
    currency: Currency = "CNY",
    channel: Channels = "file",
    until: Until = None,
    user: Looker = None,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Who would be paid now, and who not, and why."""
    choice = Choice(campaign, currency, channel, instant(until, "--until"))

    async def work(desk: Desk) -> dict[str, Any]:
        own = {"merchant_id": desk.merchant_id}
        plan = await service.preview(desk.session, **own, choice=choice)
        wanted = [planned.payee_account_id for planned in plan.payouts]
        accounts = await planning.payee_accounts(desk.session, **own, account_ids=wanted)
        shown = [planned_view(planned, accounts[planned.payee_account_id], currency) for planned in plan.payouts]
        skipped = [skipped_view(one) for one in plan.skipped]
        fees = sum(planned.fee_minor for planned in plan.payouts)
        totals = {"count": len(shown), "total_minor": plan.total_minor, "fees_minor": fees, "currency": currency}
        asked = {"requested_before": choice.requested_before, "terms": asdict(plan.terms)}
        funds = {"available_minor": plan.available_minor}
        return {**totals, **asked, **funds, "payouts": shown, "skipped": skipped}

    found = look(work, merchant, data, user, "previewed")
    if as_json:
        show_json(found)
    else:
        payout_tables.show_plan(found)
        payout_tables.show_skipped(found["skipped"])


@app.command()
def build(
    merchant: Merchant,
    user: User,
    campaign: Campaign = None,
    currency: Currency = "CNY",
    channel: Channels = "file",
    until: Until = None,
    execute: Execute = False,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Put all requested withdrawals into a new batch and, without a cut-off, everybody else who can be paid."""
    choice = Choice(campaign, currency, channel, instant(until, "--until"))

    async def work(desk: Desk) -> dict[str, Any]:
        who = {"merchant_id": desk.merchant_id, "actor_id": user}
        with counting("Withdrawals") as progress:
            built = await service.build(desk.session, **who, choice=choice, now=desk.now, progress=progress)
        return {"batch": desk.show(batch_view(built.batch)), "skipped": [skipped_view(one) for one in built.skipped]}

    act(work, merchant, data, execute=execute, as_json=as_json)


@app.command()
def approve(
    merchant: Merchant,
    batch: Batch,
    user: User,
    execute: Execute = False,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Approve a batch; refused to the user who built it."""

    async def work(desk: Desk) -> dict[str, Any]:
        found = await service.approve(
            desk.session, merchant_id=desk.merchant_id, batch_id=batch, actor_id=user, now=desk.now
        )
        return {"batch": desk.show(batch_view(found))}

    act(work, merchant, data, execute=execute, as_json=as_json)


@app.command()
def cancel(
    merchant: Merchant,
    batch: Batch,
    user: User,
    reason: Annotated[str | None, typer.Option(help="Why; kept in the audit log.")] = None,
    execute: Execute = False,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Cancel a batch that is not exported yet: its commissions are payable again."""

    async def work(desk: Desk) -> dict[str, Any]:
        scope = {"merchant_id": desk.merchant_id, "batch_id": batch, "actor_id": user}
        found = await service.cancel(desk.session, **scope, reason=reason, now=desk.now)
        return {"batch": desk.show(batch_view(found))}

    act(work, merchant, data, execute=execute, as_json=as_json)


@app.command()
def export(
    merchant: Merchant,
    batch: Batch,
    user: User,
    out: Annotated[Path | None, typer.Option("--out", help="File or folder; default: this folder.")] = None,
    format_: Annotated[Formats, typer.Option("--format", help="xlsx: typed cells; alipay: its template.")] = "csv",
    encoding: Annotated[Encoding, typer.Option("--encoding", help="Of Alipay's template.")] = "utf-8",
    payer: Annotated[str | None, typer.Option("--payer", help="Alipay's template: the account that pays.")] = None,
    payer_name: Annotated[str | None, typer.Option("--payer-name", help="Alipay's template: its holder.")] = None,
    execute: Execute = False,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Write the payout file of an approved batch; again it is the same to the byte."""
    if (format_, encoding) in (("csv", "gbk"), ("xlsx", "gbk")):
        raise typer.BadParameter("only of Alipay's template", param_hint="--encoding")
    content: list[bytes] = []
    form: Format | AlipayFormat = "alipay-gbk" if (format_, encoding) == ("alipay", "gbk") else format_
    who = Payer(payer, payer_name) if payer and payer_name else None

    async def work(desk: Desk) -> dict[str, Any]:
        scope = {"merchant_id": desk.merchant_id, "batch_id": batch, "actor_id": user}
        exported = await exports.export(desk.session, **scope, format_=form, payer=who, now=desk.now)
        content.append(exported.content)
        path = payout_tables.target(out, exported.name)
        file = {"path": str(path), "sha256": exported.sha256, "bytes": len(exported.content), "first": exported.first}
        return {"batch": desk.show(batch_view(exported.batch)), "file": file, "left_out": [*exported.left_out]}

    done = act(work, merchant, data, execute=execute, as_json=as_json)
    if execute:
        write_private(Path(done["file"]["path"]), content[0], lost=LOST)
    payout_tables.say_file(done["file"], written=execute)
    if done["left_out"]:
        payout_tables.say_left_out(done["left_out"])
        raise typer.Exit(Exit.PARTLY)


@app.command()
def send(
    merchant: Merchant,
    batch: Batch,
    user: User,
    execute: Execute = False,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Hand an approved batch to the providers of its payees' accounts; the worker carries it out."""

    async def work(desk: Desk) -> dict[str, Any]:
        scope = {"merchant_id": desk.merchant_id, "batch_id": batch, "actor_id": user}
        found = await sending.send(desk.session, **scope, livemode=desk.livemode, now=desk.now)
        return {"batch": desk.show(batch_view(found))}

    act(work, merchant, data, execute=execute, as_json=as_json)


@app.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(help="CSV: payout_id, status, external_id, reason, paid_at.", exists=True, dir_okay=False)
    ],
    merchant: Merchant,
    batch: Batch,
    user: User,
    execute: Execute = False,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Record what became of the payouts. Parts are enough, and the same file again changes nothing."""
    read = parse(file.read_bytes())

    async def work(desk: Desk) -> dict[str, Any]:
        scope = {"merchant_id": desk.merchant_id, "batch_id": batch, "actor_id": user}
        with counting("Results") as progress:
            done = await results.import_results(desk.session, **scope, file=read, now=desk.now, progress=progress)
        return {"batch": desk.show(batch_view(done.batch)), **done.as_dict()}

    done = act(work, merchant, data, execute=execute, as_json=as_json)
    if not as_json:
        payout_tables.show_results(done)
    if done["refused"]:
        followed = done["paid"] + done["failed"] + done["unchanged"]
        raise typer.Exit(Exit.PARTLY if followed else Exit.REFUSED)


app.command()(payout_checks.reconcile)
app.command()(payout_checks.doctor)
app.command("settle-unknown")(payout_decisions.settle_unknown)
app.command("settle-refund")(payout_decisions.settle_refund)
app.command("settings")(payout_checks.settings)
