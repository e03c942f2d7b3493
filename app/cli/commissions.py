"""`invitree commissions settle`: what was held long enough becomes payable now, as the worker would make it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from app import audit
from app.cli import environment
from app.cli.checks import check_merchant, check_user
from app.cli.output import Exit, progress, say, show_json, show_table
from app.commissions import queries
from app.commissions.queries import Due
from app.commissions.service import release_next
from app.db.rows import get_row
from app.kit import clock
from app.kit.errors import NotFound, not_found
from app.kit.money import yuan
from app.merchants import house
from app.models import Merchant, MerchantUser
from app.payouts import rules
from app.resources import Resources

app = typer.Typer(help="Commissions whose hold has ended.", no_args_is_help=True)


@dataclass(slots=True)
class Settlement:
    """`due` before, `left` after; by merchant how many were released, and what went wrong."""

    due: list[Due]
    released: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    left: list[Due] = field(default_factory=list)

    @property
    def exit_code(self) -> Exit:
        if not self.left:
            return Exit.DONE
        return Exit.PARTLY if self.released else Exit.FAILED


@app.callback()
def commands() -> None:
    """Keeps `settle` a command of its own while it is the only one."""


@app.command()
def settle(
    merchant: Annotated[str | None, typer.Option(help="Only this merchant (mch_…), live or test.")] = None,
    user: Annotated[
        str | None,
        typer.Option(
            "--as",
            callback=check_user,
            help="Who does it (usr_…): owner or finance, of the platform, or of the merchant named.",
        ),
    ] = None,
    execute: Annotated[bool, typer.Option("--execute", help="Do it; without, it is only shown.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data: Annotated[Path | None, typer.Option(help="Data folder of the embedded servers.")] = None,
) -> None:
    """Make payable what was held long enough, by each merchant's own clock; batch by batch, each kept when it is done.
    The worker does so by itself: this is for when it has been away. Killed in the middle, it is run again."""
    check_merchant(merchant)
    if execute and user is None:
        raise typer.BadParameter("say who does it", param_hint="--as")

    async def work(resources: Resources) -> Settlement:
        now = clock.utcnow()
        found = Settlement(await find_due(resources, merchant, now))
        if user is not None:
            await require_finance(resources, merchant, user)
        if execute and user is not None:
            await release_all(resources, found, user)
            found.left = await find_due(resources, merchant, now)
        return found

    done = environment.run(work, data)
    if as_json:
        show_json({"executed": execute, **asdict(done)})
    else:
        show(done, execute=execute)
    if execute:
        raise typer.Exit(done.exit_code)


async def find_due(resources: Resources, merchant_id: str | None, now: datetime) -> list[Due]:
    """NotFound for a merchant that does not exist."""
    async with resources.db.system() as session:
        if merchant_id is not None and await session.get(Merchant, merchant_id) is None:
            raise not_found("merchant")
        return await queries.due(session, merchant_id=merchant_id, now=now)


async def require_finance(resources: Resources, merchant_id: str | None, user_id: str) -> None:
    """Owner or finance of that merchant, or of the platform. Forbidden `role_not_allowed`; NotFound for others."""
    async with resources.db.system() as session:
        try:
            await house.require_finance(session, user_id=user_id)
        except NotFound:
            if merchant_id is None:
                raise
            user = await get_row(session, MerchantUser, merchant_id=merchant_id, row_id=user_id, noun="merchant_user")
            rules.require_role(user.role, "settle")


async def release_all(resources: Resources, found: Settlement, user_id: str) -> None:
    """What is due of one merchant after another; the fault of one holds up no other."""
    with progress() as bar:
        task = bar.add_task("Commissions", total=sum(one.commissions for one in found.due))
        for merchant_id, now in {one.merchant_id: one.now for one in found.due}.items():
            try:
                while count := await release_batch(resources, merchant_id, now, user_id):
                    found.released[merchant_id] = found.released.get(merchant_id, 0) + count
                    bar.advance(task, count)
            except Exception as error:  # noqa: BLE001 - it is told, and left for the next run
                # Further lines of a database's error quote values.
                found.failed[merchant_id] = str(error).partition("\n")[0]


async def release_batch(resources: Resources, merchant_id: str, now: datetime, user_id: str) -> int:
    """How many; with its audit row in a transaction of its own."""
    async with resources.db.tenant(merchant_id) as session:
        count = await release_next(session, merchant_id=merchant_id, now=now)
        if count:
            own: dict[str, Any] = {"merchant_id": merchant_id, "subject_id": merchant_id, "actor": user_id}
            audit.record(session, **own, action="commissions.settled", detail={"commissions": count})
        return count


def show(done: Settlement, *, execute: bool) -> None:
    show_due("Due", done.due)
    if not execute:
        say("Dry run: nothing is changed. Add --execute to do it.")
        return
    say(f"{sum(done.released.values())} commissions of {len(done.released)} merchants are payable now.")
    if done.left:
        show_due("Left", done.left)
        say("What is left is of members that somebody is busy with, or has failed: run it again.")
    for merchant_id, why in done.failed.items():
        say(f"{merchant_id}: {escape(why)}")


def show_due(title: str, due: Sequence[Due]) -> None:
    rows = [
        (
            *(one.merchant_id, "live" if one.livemode else "test"),
            *(one.commissions, one.members, yuan(one.amount_minor), one.currency),
        )
        for one in due
    ]
    show_table(title, ["merchant", "mode", "commissions", "members", "amount", "currency"], rows)
