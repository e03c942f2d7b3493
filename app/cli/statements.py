"""`invitree ledger statement`: a member's movements of money, or a merchant's own."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli import environment
from app.cli.desk import Desk, at_desk
from app.cli.output import progress, say, show_json, show_table
from app.cli.payout_desk import Looker, instant, write_down
from app.cli.sheets import OutFile, write_sheet
from app.kit import clock, ids
from app.kit.errors import not_found
from app.kit.money import yuan
from app.ledger import queries
from app.ledger.statement import Edge, StatementLine, whole
from app.ledger.views import CSV_COLUMNS, whole_rows
from app.referrals.queries import get_member
from app.resources import Resources

SHOWN = 50
Found = tuple[list[StatementLine], list[Edge]]


def statement(
    merchant: Annotated[str | None, typer.Option(help="A merchant's own accounts (mch_…) …")] = None,
    member: Annotated[str | None, typer.Option(help="… or a member's (mbr_…).")] = None,
    since: Annotated[str | None, typer.Option(help="From this day in China, or this instant, on.")] = None,
    until: Annotated[str | None, typer.Option(help="Before this day or instant.")] = None,
    user: Looker = None,
    out: OutFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data: Annotated[Path | None, typer.Option(help="Data folder of the embedded servers.")] = None,
) -> None:
    """Every movement with the balance it left behind, oldest first, between opening and closing balances."""
    if merchant is None and member is None:
        raise typer.BadParameter("whose?", param_hint="--merchant / --member")
    bounds: dict[str, Any] = {"created_from": instant(since, "--since"), "created_before": instant(until, "--until")}

    async def work(desk: Desk) -> Found:
        with progress() as bar:
            task = bar.add_task("Entries", total=None)
            if member is not None:
                await get_member(desk.session, merchant_id=desk.merchant_id, member_id=member)
            own: dict[str, Any] = {"merchant_id": desk.merchant_id, "member_id": member}
            lines, edges = await whole(
                desk.session, **own, **bounds, progress=lambda done: bar.update(task, completed=done)
            )
        await write_down(desk, user, "ledger.statement_read", member or desk.merchant_id)
        return lines, list(edges)

    async def at(resources: Resources) -> Found:
        whose = merchant or await _merchant_of(resources, member or "")
        return await at_desk(resources, whose, work, execute=user is not None)

    lines, edges = environment.run(at, data)
    if out is not None:
        write_sheet(out, CSV_COLUMNS, whole_rows(lines, edges))
    if as_json:
        show_json({"entries": [asdict(line) for line in lines], "accounts": [asdict(edge) for edge in edges]})
    else:
        _show(lines, edges)


async def _merchant_of(resources: Resources, member_id: str) -> str:
    try:
        ids.decode("mbr", member_id)
    except ValueError:
        raise typer.BadParameter("a member's id begins with mbr_", param_hint="--member") from None
    async with resources.db.system() as session:
        found = await queries.merchant_of(session, member_id=member_id)
    if found is None:
        raise not_found("member")
    return found


def _show(lines: list[StatementLine], edges: list[Edge]) -> None:
    rows = [
        (
            f"{clock.shanghai(line.created_at):%Y-%m-%d %H:%M}",
            line.kind,
            line.reference,
            line.account,
            yuan(line.amount_minor),
            yuan(line.balance_minor),
            yuan(line.fee_minor) if line.fee_minor else "",
            line.currency,
        )
        for line in lines[-SHOWN:]
    ]
    if len(lines) > SHOWN:
        say(f"{len(lines) - SHOWN} earlier entries are not shown; --out and --json have all.")
    columns = ["in China", "kind", "reference", "account", "amount", "balance", "fee", ""]
    show_table("Statement", columns, rows)
    stood = [(edge.account, yuan(edge.opening_minor), yuan(edge.closing_minor), edge.currency) for edge in edges]
    show_table("Balances", ["account", "opening", "closing", ""], stood)
