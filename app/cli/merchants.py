"""`invitree merchants`: what the platform's operator sees of them and does for them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer
from sqlalchemy.ext.asyncio import AsyncSession

from app.cli import environment, merchant_funds, merchant_keys
from app.cli.output import say, show_json, show_table
from app.db.pages import PageQuery
from app.kit import clock
from app.merchants import accounts, house, queries, registration, users, verification
from app.merchants.views import merchant_view, registration_view, user_view
from app.resources import Resources
from app.settings import get_keyring

app = typer.Typer(help="Merchants: list, show, create, verify, their users, keys and funds.", no_args_is_help=True)
app.command("funding")(merchant_funds.set_funding)
app.command("top-up")(merchant_funds.top_up)
app.command("refund-top-up")(merchant_funds.refund_top_up)
app.command("keys")(merchant_keys.list_keys)
T = TypeVar("T")

ACTOR = "command_line"
MerchantOption = Annotated[str, typer.Option("--merchant", help="A merchant (mch_…), live or test.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DataOption = Annotated[Path | None, typer.Option(help="Data folder of the embedded servers.")]
Role = Literal["owner", "operator", "finance", "viewer"]


@app.command("list")
def list_merchants(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 100,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Live merchants, newest first."""

    async def work(session: AsyncSession) -> list[dict[str, Any]]:
        found = await accounts.page(session, query=PageQuery(limit))
        return [await _view(session, merchant.id) for merchant in found.rows]

    merchants = _as_system(work, data)
    if as_json:
        show_json(merchants)
        return
    rows = [(m["id"], m["name"], m["plan"], _yes(m["verified"]), _until(m), m["invite_code"] or "") for m in merchants]
    show_table("Merchants", ["merchant", "name", "plan", "verified", "member until", "invite code"], rows)


@app.command()
def show(merchant: MerchantOption, as_json: JsonOption = False, data: DataOption = None) -> None:
    """One merchant as its own API shows it."""
    _print(_as_system(lambda session: _view(session, merchant), data), as_json)


@app.command()
def create(
    name: Annotated[str, typer.Option(help="Name of the merchant.")],
    phone: Annotated[str | None, typer.Option(help="Its phone number …")] = None,
    email: Annotated[str | None, typer.Option(help="… or its e-mail address.")] = None,
    invite_code: Annotated[str | None, typer.Option(help="Invite code of the merchant that brought it.")] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Register a merchant. Its two secret keys are printed here and nowhere else."""
    if (phone is None) == (email is None):
        raise typer.BadParameter("give either a phone or an email", param_hint="--phone / --email")

    async def work(session: AsyncSession) -> dict[str, Any]:
        now = clock.utcnow()
        made = await registration.register(
            session, name=name, contact=phone or email or "", invite_code=invite_code, keyring=get_keyring(), now=now
        )
        account = await accounts.get(session, merchant_id=made.live.id)
        return registration_view(account, made, now=now) | {"livemode": True}

    _print(_as_system(work, data), as_json)


@app.command()
def verify(merchant: MerchantOption, as_json: JsonOption = False, data: DataOption = None) -> None:
    """Vouch for a merchant whose code cannot reach it; the days of its invite are granted."""

    async def work(session: AsyncSession) -> dict[str, Any]:
        await verification.vouch(session, merchant_id=merchant, actor=ACTOR, now=clock.utcnow())
        return await _view(session, merchant)

    _print(_as_system(work, data), as_json)


@app.command("users")
def list_users(
    merchant: Annotated[
        str | None, typer.Option("--merchant", help="A merchant (mch_…), live or test; left out: the platform itself.")
    ] = None,
    add: Annotated[str | None, typer.Option(help="Name of a person to add first.")] = None,
    role: Annotated[Role, typer.Option(help="What the added person is.")] = "viewer",
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """The people of a merchant, or of the platform; commands act `--as` one of them."""

    async def work(session: AsyncSession) -> list[dict[str, Any]]:
        whose = merchant or await house.ensure(session, now=clock.utcnow())
        await accounts.get(session, merchant_id=whose)
        if add is not None:
            await users.create(session, merchant_id=whose, name=add, role=role, actor=ACTOR)
        found = await queries.users_page(session, merchant_id=whose, query=PageQuery(1_000))
        return [user_view(user) for user in found.rows]

    people = _as_system(work, data)
    if as_json:
        show_json(people)
    else:
        show_table(
            f"Users of {merchant or 'the platform'}",
            ["user", "name", "role"],
            [(u["id"], u["name"], u["role"]) for u in people],
        )


def seed(data: DataOption = None) -> None:
    """Make the house merchant and its invite campaign, where they are missing. Registration does so, too."""

    async def work(session: AsyncSession) -> str:
        return await house.ensure(session, now=clock.utcnow())

    say(f"The house merchant is {_as_system(work, data)}.")


def _as_system(work: Callable[[AsyncSession], Awaitable[T]], data: Path | None) -> T:
    async def main(resources: Resources) -> T:
        async with resources.db.system() as session:
            return await work(session)

    return environment.run(main, data)


async def _view(session: AsyncSession, merchant_id: str) -> dict[str, Any]:
    account = await accounts.get(session, merchant_id=merchant_id)
    now = clock.tenant_now(account.merchant.clock_offset_seconds)
    return merchant_view(account, now=now) | {"livemode": account.merchant.livemode}


def _print(view: dict[str, Any], as_json: bool) -> None:
    if as_json:
        show_json(view)
        return
    lines = {**view, "membership": _until(view)}
    show_table(
        view["name"], ["field", "value"], [(name, _cell(value)) for name, value in lines.items() if name != "object"]
    )


def _until(view: dict[str, Any]) -> str:
    ends_at = view["membership"]["ends_at"]
    ended = "" if view["membership"]["active"] else " (ended)"
    return f"{clock.shanghai(ends_at):%Y-%m-%d %H:%M}{ended}" if ends_at else "–"


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"


def _cell(value: Any) -> str:
    return "–" if value is None else _yes(value) if isinstance(value, bool) else str(value)
