"""Work for one merchant in one transaction, which is undone at its end unless it is to be executed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import typer
from sqlalchemy.ext.asyncio import AsyncSession

from app.cli.output import progress, say
from app.kit import clock, ids
from app.kit.errors import not_found
from app.models import Merchant
from app.resources import Resources

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Desk:
    """`now` is the merchant's own clock."""

    session: AsyncSession
    merchant_id: str
    livemode: bool
    now: datetime

    def show(self, view: dict[str, Any]) -> dict[str, Any]:
        return {**view, "livemode": self.livemode}


async def at_desk(resources: Resources, merchant_id: str, work: Callable[[Desk], Awaitable[T]], *, execute: bool) -> T:
    """`work` returns plain data: its rows are gone after a dry run."""
    try:
        ids.decode("mch", merchant_id)
    except ValueError:
        raise typer.BadParameter("a merchant's id begins with mch_", param_hint="--merchant") from None
    async with resources.db.tenant(merchant_id) as session:
        merchant = await session.get(Merchant, merchant_id)
        if merchant is None:
            raise not_found("merchant")
        now = clock.tenant_now(merchant.clock_offset_seconds)
        done = await work(Desk(session, merchant_id, merchant.livemode, now))
        if not execute:
            await session.rollback()
        return done


def dry_run_notice() -> None:
    say("Dry run: everything was tried and undone, nothing is changed. Add --execute to do it.")


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error, told how many of how many are done."""
    with progress() as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
