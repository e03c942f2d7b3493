"""`invitree ledger`: the books, proven."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from app.cli import environment, statements
from app.cli.checks import check_merchant
from app.cli.desk import Desk, at_desk
from app.cli.output import Exit, say, show_json, show_table
from app.cli.payout_desk import Looker, write_down
from app.kit.errors import not_found
from app.kit.money import yuan
from app.ledger.verify import Report
from app.ledger.verify import verify as verify_ledger
from app.models import Merchant
from app.resources import Resources

app = typer.Typer(help="The ledger: every movement of money, in double entry.", no_args_is_help=True)


@app.command()
def verify(
    merchant: Annotated[str | None, typer.Option(help="Only this merchant (mch_…).")] = None,
    user: Looker = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data: Annotated[Path | None, typer.Option(help="Data folder of the embedded servers.")] = None,
) -> None:
    """Prove that every transaction sums to zero, that every order is shared out to the last fen, and that every balance
    is what its entries and commissions say."""
    check_merchant(merchant)
    if user is not None and merchant is None:
        raise typer.BadParameter("a user is a merchant's: name it", param_hint="--merchant")

    async def look(desk: Desk) -> None:
        await write_down(desk, user, "ledger.verified", desk.merchant_id)

    async def work(resources: Resources) -> Report:
        if user is not None:
            await at_desk(resources, merchant or "", look, execute=True)
        async with resources.db.system() as session:
            if merchant is not None and await session.get(Merchant, merchant) is None:
                raise not_found("merchant")
            return await verify_ledger(session, merchant_id=merchant)

    report = environment.run(work, data)
    if as_json:
        show_json({"ok": report.clean, **asdict(report)})
    else:
        show(report)
    if not report.clean:
        raise typer.Exit(Exit.FAILED)


def show(report: Report) -> None:
    looked_at = [report.orders, report.commissions, report.transactions, report.entries, report.accounts]
    show_table("Looked at", ["orders", "commissions", "transactions", "entries", "accounts"], [looked_at])
    if report.clean:
        say("The ledger is clean: every transaction sums to zero, and every order, balance and fee is accounted for.")
        return
    # One id a line: they stay whole, and can be copied, on a terminal of 80 columns.
    rows = [
        (
            "\n".join([found.check, found.merchant_id, *found.subject.split()]),
            f"{yuan(found.expected_minor)} {found.currency}",
            f"{yuan(found.found_minor)} {found.currency}",
        )
        for found in report.differences
    ]
    show_table("Differences", ["check and where", "expected", "found"], rows)
    say(f"{len(rows)} difference{'s' if len(rows) > 1 else ''}.")


app.command("statement")(statements.statement)
