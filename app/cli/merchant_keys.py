"""`invitree merchants keys`: API keys of the platform itself, or of a merchant that has lost its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy.ext.asyncio import AsyncSession

from app.cli import environment
from app.cli.output import say, show_json, show_table
from app.db.pages import PageQuery
from app.kit import clock
from app.merchants import accounts, house, keys, queries
from app.merchants.keys import Maker
from app.merchants.views import key_view, new_key_view
from app.resources import Resources
from app.settings import get_keyring

MAKER = Maker("command_line", frozenset({"*"}))
SCOPES = ("*", "read", "write", "payouts", "admin")


def _scopes(given: list[str] | None) -> list[str] | None:
    if unknown := set(given or ()) - set(SCOPES):
        raise typer.BadParameter(f"there is no scope {min(unknown)}", param_hint="--scope")
    return given


def list_keys(
    merchant: Annotated[
        str | None, typer.Option("--merchant", help="A merchant (mch_…), live or test; left out: the platform itself.")
    ] = None,
    test: Annotated[bool, typer.Option("--test", help="Of its test twin.")] = False,
    add: Annotated[str | None, typer.Option(help="Name of a key to make first; its secret is printed once.")] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(help=f"Of the key that is made: {', '.join(SCOPES)}; may be repeated.", callback=_scopes),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data: Annotated[Path | None, typer.Option(help="Data folder of the embedded servers.")] = None,
) -> None:
    """The API keys of the platform, which sells plans and takes them back, or of a merchant; ended ones, too."""

    async def work(resources: Resources) -> list[dict[str, Any]]:
        async with resources.db.system() as session:
            account = await _account(session, merchant, test=test)
            own: dict[str, Any] = {"merchant_id": account.id, "livemode": account.livemode}
            made: dict[str, Any] = {}
            if add is not None:
                own |= {"name": _name(add), "scopes": scope or ["*"]}
                key, secret = await keys.create(session, **own, maker=MAKER, keyring=get_keyring())
                made = {key.id: new_key_view(key, secret)}
            found = await queries.keys_page(session, merchant_id=account.id, query=PageQuery(1_000))
            return [made.get(one.id, key_view(one)) | {"livemode": account.livemode} for one in found.rows]

    shown = environment.run(work, data)
    if as_json:
        show_json(shown)
        return
    rows = [(key["id"], key["name"], " ".join(key["scopes"]), f"…{key['last4']}", _end(key)) for key in shown]
    show_table(f"Keys of {merchant or 'the platform'}", ["key", "name", "scopes", "secret", "ended"], rows)
    for secret in [key["secret_key"] for key in shown if "secret_key" in key]:
        say("The secret, printed here and nowhere else:")
        typer.echo(secret)


async def _account(session: AsyncSession, merchant_id: str | None, *, test: bool) -> Any:
    """NotFound `merchant_not_found`."""
    whose = merchant_id or await house.ensure(session, now=clock.utcnow())
    found = (await accounts.get(session, merchant_id=whose)).merchant
    if test and found.livemode:
        found = (await accounts.get(session, merchant_id=found.twin_id or "")).merchant
    return found


def _name(text: str) -> str:
    if not (1 <= len(text.strip()) <= 80 and text.isprintable()):
        raise typer.BadParameter("1 to 80 characters", param_hint="--add")
    return text.strip()


def _end(key: dict[str, Any]) -> str:
    ended = key["revoked_at"] or key["expires_at"]
    return ended.isoformat(timespec="seconds") if ended else ""
