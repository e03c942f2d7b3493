"""`invitree payouts`: from who could be paid to what was paid. Without `--execute` everything is tried and undone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from app.cli import environment, payout_rails, payout_tables
from app.cli.desk import Desk, at_desk, counting, dry_run_notice
from app.cli.output import Exit, say, show_json
from app.payouts import acting, carrying, checkup, exports, planning, reconciliation, results, sending, service
from app.payouts.alipay_file import AlipayFormat, Payer
from app.payouts.payout_file import Format
from app.payouts.result_file import parse
from app.payouts.rules import Channel
from app.payouts.views import batch_view, planned_view, skipped_view
from app.resources import Resources

app = typer.Typer(
    help="Payouts: preview, build, approve, export or send, import, cancel, reconcile.", no_args_is_help=True
)
app.add_typer(payout_rails.app, name="rails")

Merchant = Annotated[str, typer.Option("--merchant", help="Whose (mch_…), live or test.")]
User = Annotated[str, typer.Option("--as", help="The merchant user who acts (usr_…).")]
Looker = Annotated[str | None, typer.Option("--as", help="The merchant user who looks (usr_…), for the audit log.")]
Campaign = Annotated[str | None, typer.Option("--campaign", help="Only members with a commission of it (cmp_…).")]
Batch = Annotated[str, typer.Option("--batch", help="The batch (bat_…).")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Execute = Annotated[bool, typer.Option("--execute", help="Do it; without, everything is tried and undone.")]
Channels = Annotated[Channel, typer.Option("--channel", help="Only members with an account there; file takes all.")]
Currency = Annotated[str, typer.Option(help="ISO 4217 code.")]
Data = Annotated[Path | None, typer.Option(help="Data folder of the embedded servers.")]
Formats = Literal["csv", "xlsx", "alipay"]
Encoding = Literal["utf-8", "gbk"]
Work = Callable[[Desk], Awaitable[dict[str, Any]]]


def _run(work: Work, merchant: str, data: Path | None, *, execute: bool = False) -> dict[str, Any]:
    async def at(resources: Resources) -> dict[str, Any]:
        return await at_desk(resources, merchant, work, execute=execute)

    return environment.run(at, data)


def _look(work: Work, merchant: str, data: Path | None, user: str | None, action: str) -> dict[str, Any]:
    """Reads only; where a user is named it is written down who looked."""

    async def looked(desk: Desk) -> dict[str, Any]:
        found = await work(desk)
        if user is not None:
            own = {"merchant_id": desk.merchant_id, "actor_id": user}
            await acting.require(desk.session, **own, step="look")
            acting.record(desk.session, **own, action=f"payouts.{action}", subject_id=desk.merchant_id)
        return found

    return _run(looked, merchant, data, execute=True)


def _act(work: Work, merchant: str, data: Path | None, *, execute: bool, as_json: bool) -> dict[str, Any]:
    """Run, say whether it was done, and print the batch and who was skipped."""
    done = {"executed": execute, **_run(work, merchant, data, execute=execute)}
    if as_json:
        show_json(done)
    else:
        payout_tables.show_batch(done["batch"])
        payout_tables.show_skipped(done.get("skipped", []))
    if not execute:
        dry_run_notice()
    return done


@app.command()
def preview(
    merchant: Merchant,
    campaign: Campaign = None,
    currency: Currency = "CNY",
    channel: Channels = "file",
    user: Looker = None,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Who would be paid now, and who not, and why."""

    async def work(desk: Desk) -> dict[str, Any]:
        own = {"merchant_id": desk.merchant_id}
        plan = await service.preview(desk.session, **own, campaign_id=campaign, currency=currency, channel=channel)
        wanted = [planned.payee_account_id for planned in plan.payouts]
        accounts = await planning.payee_accounts(desk.session, **own, account_ids=wanted)
        shown = [planned_view(planned, accounts[planned.payee_account_id], currency) for planned in plan.payouts]
        skipped = [skipped_view(one) for one in plan.skipped]
        totals = {"count": len(shown), "total_minor": plan.total_minor, "currency": currency}
        return {**totals, "payouts": shown, "skipped": skipped}

    found = _look(work, merchant, data, user, "previewed")
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
    execute: Execute = False,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Put all requested withdrawals and everybody else who can be paid into a new batch."""

    async def work(desk: Desk) -> dict[str, Any]:
        wanted: dict[str, Any] = {"merchant_id": desk.merchant_id, "actor_id": user, "currency": currency}
        wanted |= {"channel": channel, "campaign_id": campaign, "now": desk.now}
        with counting("Withdrawals") as progress:
            built = await service.build(desk.session, **wanted, progress=progress)
        return {"batch": desk.show(batch_view(built.batch)), "skipped": [skipped_view(one) for one in built.skipped]}

    _act(work, merchant, data, execute=execute, as_json=as_json)


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

    _act(work, merchant, data, execute=execute, as_json=as_json)


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

    _act(work, merchant, data, execute=execute, as_json=as_json)


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
    content: list[bytes] = []
    form: Format | AlipayFormat = "alipay-gbk" if (format_, encoding) == ("alipay", "gbk") else format_
    who = Payer(payer, payer_name) if payer and payer_name else None

    async def work(desk: Desk) -> dict[str, Any]:
        scope = {"merchant_id": desk.merchant_id, "batch_id": batch, "actor_id": user}
        exported = await exports.export(desk.session, **scope, format_=form, payer=who, now=desk.now)
        content.append(exported.content)
        path = payout_tables.target(out, exported.name)
        file = {"path": str(path), "sha256": exported.sha256, "bytes": len(exported.content), "first": exported.first}
        return {"batch": desk.show(batch_view(exported.batch)), "file": file}

    done = _act(work, merchant, data, execute=execute, as_json=as_json)
    if execute:
        payout_tables.write(Path(done["file"]["path"]), content[0])
    payout_tables.say_file(done["file"], written=execute)


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

    _act(work, merchant, data, execute=execute, as_json=as_json)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV: payout_id, status, external_id, reason, paid_at.", exists=True)],
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

    done = _act(work, merchant, data, execute=execute, as_json=as_json)
    if not as_json:
        payout_tables.show_results(done)
    if done["refused"]:
        followed = done["paid"] + done["failed"] + done["unchanged"]
        raise typer.Exit(Exit.PARTLY if followed else Exit.REFUSED)


@app.command()
def reconcile(
    merchant: Merchant,
    batch: Annotated[str | None, typer.Option("--batch", help="Of the batches only this one (bat_…).")] = None,
    user: Looker = None,
    ask: Annotated[bool, typer.Option("--ask", help="Also ask the providers after each transfer.")] = False,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Compare payouts, withdrawals, commissions and the ledger; exit code 1 where they differ."""

    async def work(desk: Desk) -> dict[str, Any]:
        report = await reconciliation.reconcile(desk.session, merchant_id=desk.merchant_id, batch_id=batch)
        sent = await carrying.look(desk.session, merchant_id=desk.merchant_id, batch_id=batch) if ask else []
        return {"report": report.as_dict(), "sent": sent}

    found = _look(work, merchant, data, user, "reconciled")
    report = found["report"]
    if ask:
        payout_rails.add_answers(report, found["sent"], data)
    if as_json:
        show_json(report)
    else:
        payout_tables.show_report(report)
    if not report["ok"]:
        raise typer.Exit(Exit.FAILED)


@app.command()
def doctor(merchant: Merchant, user: Looker = None, as_json: Json = False, data: Data = None) -> None:
    """What is stuck, since when, and who has to act; exit code 1 where something is."""

    async def work(desk: Desk) -> dict[str, Any]:
        stuck = await checkup.examine(desk.session, merchant_id=desk.merchant_id, now=desk.now)
        return {"ok": not stuck, "stuck": [asdict(one) for one in stuck]}

    found = _look(work, merchant, data, user, "examined")
    if as_json:
        show_json(found)
    elif found["ok"]:
        say("Nothing is stuck.")
    else:
        payout_tables.show_stuck(found["stuck"])
    if not found["ok"]:
        raise typer.Exit(Exit.FAILED)
