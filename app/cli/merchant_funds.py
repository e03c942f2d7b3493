"""`invitree merchants funding | top-up`: out of what promoters are paid, and money that came by transfer."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy.ext.asyncio import AsyncSession

from app.cli import environment
from app.cli.checks import check_user
from app.cli.desk import dry_run_notice
from app.cli.output import say, show_json, show_table
from app.kit import clock
from app.kit.money import MAX_MINOR, yuan
from app.merchants import accounts, funding, top_up_refunds
from app.merchants.funding import Mode
from app.merchants.views import funding_view
from app.resources import Resources


def _currency(code: str) -> str:
    if not re.fullmatch("[A-Z]{3}", code):
        raise typer.BadParameter("three capital letters, as CNY", param_hint="--currency")
    return code


MerchantOption = Annotated[str, typer.Option("--merchant", help="A merchant (mch_…), live or test.")]
_AS = typer.Option(
    "--as", callback=check_user, help="Who of the platform does it (usr_…): finance or owner; see `merchants users`."
)
CurrencyOption = Annotated[str, typer.Option("--currency", help="Of the funds.", callback=_currency)]
ExecuteOption = Annotated[bool, typer.Option("--execute", help="Do it; without, everything is tried and undone.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DataOption = Annotated[Path | None, typer.Option(help="Data folder of the embedded servers.")]


def set_funding(
    merchant: MerchantOption,
    mode: Annotated[
        Mode | None, typer.Option(help="own: it pays from accounts of its own; prepaid: from what it has paid in.")
    ] = None,
    user: Annotated[str | None, _AS] = None,
    currency: CurrencyOption = "CNY",
    execute: ExecuteOption = False,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """What stands on a merchant's account with the platform; with --mode also where its payouts come from."""
    if mode is not None and user is None:
        raise typer.BadParameter("say who of the platform does it", param_hint="--as")

    async def work(session: AsyncSession) -> dict[str, Any]:
        if mode is not None:
            await funding.set_mode(session, merchant_id=merchant, mode=mode, actor=user or "")
        return {"funding": await _view(session, merchant, currency)}

    done = _as_system(work, data, execute=execute)
    _print(done, as_json, is_dry=mode is not None and not execute)


def top_up(
    merchant: MerchantOption,
    amount: Annotated[str, typer.Option(metavar="FEN", help="In minor units: 100000 is 1,000.00 yuan.")],
    reference: Annotated[
        str, typer.Option(help="What names the money where it came in; the same again adds nothing.", metavar="TEXT")
    ],
    user: Annotated[str, _AS],
    currency: CurrencyOption = "CNY",
    execute: ExecuteOption = False,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Write down money that a merchant has paid in some other way than by a checkout."""
    amount_minor, named = _minor(amount), _reference(reference)

    async def work(session: AsyncSession) -> dict[str, Any]:
        account = await accounts.get(session, merchant_id=merchant)
        is_new = await funding.top_up(
            session,
            merchant_id=merchant,
            amount_minor=amount_minor,
            currency=currency,
            reference=named,
            actor=user,
            now=clock.tenant_now(account.merchant.clock_offset_seconds),
        )
        return {"added": is_new, "amount_minor": amount_minor, "funding": await _view(session, merchant, currency)}

    done = _as_system(work, data, execute=execute)
    if not done["added"]:
        say(f"{named} was written down before; nothing is added.")
    _print(done, as_json, is_dry=not execute)


def refund_top_up(
    merchant: MerchantOption,
    order: Annotated[str, typer.Option("--order", help="The top-up's checkout (ord_…).")],
    amount: Annotated[str, typer.Option(metavar="FEN", help="In minor units; of one top-up in parts, too.")],
    reference: Annotated[str, typer.Option(help="What names this refund; the same again gives nothing.")],
    user: Annotated[str, _AS],
    execute: ExecuteOption = False,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Give back what was paid in by a checkout, by the provider that took it: never more than is available."""
    amount_minor, named = _minor(amount), _reference(reference)

    async def work(session: AsyncSession) -> dict[str, Any]:
        made, is_new = await top_up_refunds.refund(
            session,
            merchant_id=merchant,
            checkout_id=order,
            amount_minor=amount_minor,
            reference=named,
            actor=user,
            now=clock.utcnow(),
        )
        shown = {"id": made.id, "amount_minor": made.amount_minor, "payback": made.payback}
        return {"given": is_new, "refund": shown, "funding": await _view(session, merchant, made.currency or "CNY")}

    done = _as_system(work, data, execute=execute)
    if not done["given"]:
        say(f"{named} was given back before; nothing is taken.")
    _print(done, as_json, is_dry=not execute)


def _reference(text: str) -> str:
    if not (1 <= len(text.strip()) <= 64 and text.isprintable()):
        raise typer.BadParameter("1 to 64 characters", param_hint="--reference")
    return text.strip()


def _minor(amount: str) -> int:
    """Digits alone: of `1000.50`, which the command line's own numbers round, nobody knows the unit."""
    if not (amount.isascii() and amount.isdigit() and 0 < int(amount) <= MAX_MINOR):
        raise typer.BadParameter("a whole number of minor units, above 0", param_hint="--amount")
    return int(amount)


def _as_system(
    work: Callable[[AsyncSession], Awaitable[dict[str, Any]]], data: Path | None, *, execute: bool
) -> dict[str, Any]:
    async def main(resources: Resources) -> dict[str, Any]:
        async with resources.db.system() as session:
            done = await work(session)
            if not execute:
                await session.rollback()
            return {"executed": execute, **done}

    return environment.run(main, data)


async def _view(session: AsyncSession, merchant_id: str, currency: str) -> dict[str, Any]:
    account = await accounts.get(session, merchant_id=merchant_id)
    found = await funding.standing(session, merchant_id=merchant_id, currency=currency)
    now = clock.tenant_now(account.merchant.clock_offset_seconds)
    return funding_view(found, merchant_id=merchant_id, now=now) | {"livemode": account.merchant.livemode}


def _print(done: dict[str, Any], as_json: bool, *, is_dry: bool) -> None:
    if as_json:
        show_json(done)
    else:
        view = done["funding"]
        rows = [(name.removesuffix("_minor").replace("_", " "), _cell(name, value)) for name, value in view.items()]
        show_table("Funding", ["", view["currency"]], [row for row in rows if row[1] is not None])
    if is_dry:
        dry_run_notice()


def _cell(name: str, value: Any) -> str | None:
    if name.endswith("_minor"):
        return yuan(value)
    return str(value) if name in {"id", "mode"} else None
