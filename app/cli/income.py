"""`invitree income report`: what people were paid in a quarter, for the merchant's tax return."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

import typer

from app.cli import payout_tables
from app.cli.desk import Desk
from app.cli.output import say, show_json
from app.cli.payout_desk import Data, Json, Looker, Merchant, run
from app.cli.sheets import OutFile, write_sheet
from app.kit import people
from app.kit.money import yuan
from app.payouts import acting, income, payees
from app.payouts.income import IncomeLine

app = typer.Typer(help="What people were paid, for tax returns.", no_args_is_help=True)
COLUMNS = (
    "year",
    "quarter",
    "member_id",
    "external_member_id",
    "real_name",
    "channel",
    "account",
    "campaign_id",
    "campaign",
    "item",
    "payouts",
    "amount",
    "currency",
)


@app.callback()
def reports() -> None:
    """Keeps `report` a command of its own while it is the only one."""


@app.command()
def report(
    merchant: Merchant,
    year: Annotated[int, typer.Option(min=2000, max=2199, help="Of China's calendar.")],
    quarter: Annotated[int, typer.Option(min=1, max=4)],
    user: Looker = None,
    full: Annotated[
        bool, typer.Option("--full", help="Names and accounts in full; takes --as, is written down.")
    ] = False,
    out: OutFile = None,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """What was paid, to whom, by which campaign; the sum is the ledger's. Names are masked unless --full."""
    if full and user is None:
        raise typer.BadParameter("names in full take a user", param_hint="--as")

    async def work(desk: Desk) -> dict[str, Any]:
        own = {"merchant_id": desk.merchant_id}
        if user is not None:
            await acting.require(desk.session, **own, actor_id=user, step="export" if full else "look")
        found = await income.report(desk.session, **own, year=year, quarter=quarter)
        if user is not None:
            income.record(desk.session, **own, actor_id=user, income=found, full=full)
        return {"paid_minor": found.paid_minor, "lines": [_line(line, found, full) for line in found.lines]}

    found = run(work, merchant, data, execute=True)
    if out is not None:
        write_sheet(out, COLUMNS, [[_cell(line, name) for name in COLUMNS] for line in found["lines"]])
    if as_json:
        show_json(found)
    else:
        _show(found, year, quarter)


def _line(line: IncomeLine, found: income.Income, full: bool) -> dict[str, Any]:
    account, name = line.payee.account, line.payee.real_name
    return {
        "year": found.year,
        "quarter": found.quarter,
        "member_id": line.member_id,
        "external_member_id": line.external_member_id,
        "real_name": name if full else people.mask_name(name),
        "channel": line.payee.kind,
        "account": account if full else payees.mask(line.payee.kind, account),
        "campaign_id": line.campaign_id,
        "campaign": line.campaign,
        "item": line.item,
        "payouts": line.payouts,
        "amount_minor": line.amount_minor,
        "currency": line.currency,
    }


def _cell(line: dict[str, Any], name: str) -> str | Decimal:
    if name == "amount":
        return Decimal(line["amount_minor"]).scaleb(-2)
    value = line[name]
    return Decimal(value) if isinstance(value, int) else value or ""


def _show(found: dict[str, Any], year: int, quarter: int) -> None:
    names = ("member_id", "real_name", "channel", "account", "campaign", "item", "payouts")
    rows = [(*(line[name] for name in names), yuan(line["amount_minor"])) for line in found["lines"]]
    payout_tables.show_first(f"Paid in {year} Q{quarter}", [*names, "amount"], rows)
    first, following = income.bounds(year, quarter)
    sums = ", ".join(f"{yuan(paid)} {currency}" for currency, paid in found["paid_minor"].items()) or "nothing"
    count = len({line["member_id"] for line in found["lines"]})
    whom = f"{count} {'person' if count == 1 else 'people'}"
    say(f"{sums} to {whom}, from {first:%Y-%m-%d} to before {following:%Y-%m-%d} in China, as the ledger.")
