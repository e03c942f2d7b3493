"""Commands of finance that are killed in the middle: nothing is half done, and the next run goes on."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app.kit import ids
from app.payouts import queries
from app.resources import Resources
from tests.factories import MerchantFixture
from tests.factories.payables import make_payable, make_user
from tests.payouts.conftest import Office

_WAITING = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
_HOLD = text("SELECT id FROM ledger_accounts WHERE merchant_id = :id ORDER BY id FOR NO KEY UPDATE")


async def run(merchant_id: str, *words: str) -> asyncio.subprocess.Process:
    command = [sys.executable, "-P", "-m", "app.cli", "payouts", *words, "--merchant", merchant_id, "--execute"]
    quiet: dict[str, Any] = {"stdout": asyncio.subprocess.DEVNULL, "stderr": asyncio.subprocess.DEVNULL}
    return await asyncio.create_subprocess_exec(*command, env=os.environ, **quiet)


async def killed(merchant_id: str, *words: str, once: Callable[[], Awaitable[bool]]) -> None:
    """The command, until it has come so far that `once` is true; then it dies without a word."""
    process = await run(merchant_id, *words)
    ended = asyncio.create_task(process.wait())
    async with asyncio.timeout(60):
        while not await once():
            await asyncio.wait([ended], timeout=0.05)
            assert not ended.done(), "it was to wait"
    process.kill()
    assert await ended < 0


async def finished(merchant_id: str, *words: str) -> int:
    return await (await run(merchant_id, *words)).wait()


@pytest.fixture
async def office(resources: Resources, merchant: MerchantFixture) -> Office:
    async with resources.db.tenant(merchant.test_id) as session:
        for amount in (700, 800):
            await make_payable(session, merchant.test_id, amount)
        people = [await make_user(session, merchant.test_id) for _ in range(2)]
    return Office(session, merchant.test_id, *people)


async def state(resources: Resources, merchant_id: str) -> dict[str, Any]:
    async with resources.db.tenant(merchant_id) as session:
        sums = {}
        for table in ("withdrawals", "payouts", "payout_batches", "commissions"):
            rows = await session.execute(text(f"SELECT status, count(*) FROM {table} GROUP BY 1"))
            sums[table] = dict(rows.tuples().all())
        sums["entries"] = await session.scalar(text("SELECT count(*) FROM ledger_entries"))
        return sums


@pytest.mark.parametrize("step", ["build", "import"])
async def test_killed_while_the_money_moves(resources: Resources, office: Office, tmp_path: Path, step: str) -> None:
    own = office.merchant_id
    words = ["build", "--as", office.maker]
    if step == "import":
        async with resources.db.tenant(own) as session:
            here = Office(session, own, office.maker, office.checker)
            batch = await here.exported()
            payouts = await queries.payouts_of_batch(session, merchant_id=own, batch_id=batch.id)
        results = tmp_path / "results.csv"
        results.write_text("payout_id,status\n" + "".join(f"{payout.id},paid\n" for payout in payouts))
        words = ["import", str(results), "--batch", batch.id, "--as", office.checker]
    before = await state(resources, own)

    async def waits() -> bool:
        async with resources.db.system() as session:
            return bool(await session.scalar(_WAITING))

    async with resources.db.system() as session:
        await session.execute(_HOLD, {"id": ids.decode("mch", own)})
        await killed(own, *words, once=waits)
    assert await state(resources, own) == before
    assert await finished(own, *words) == 0
    assert (await state(resources, own))["payouts"] == ({"created": 2} if step == "build" else {"paid": 2})


async def test_killed_between_the_commit_and_the_file(resources: Resources, office: Office, tmp_path: Path) -> None:
    own = office.merchant_id
    async with resources.db.tenant(own) as session:
        here = Office(session, own, office.maker, office.checker)
        batch = await here.build()
        await here.approve(batch)
    words = ["export", "--batch", batch.id, "--as", office.checker]
    os.mkfifo(tmp_path / ".a.csv.part")

    async def exported() -> bool:
        found: dict[str, int] = (await state(resources, own))["payout_batches"]
        return found == {"exported": 1}

    await killed(own, *words, "--out", str(tmp_path / "a.csv"), once=exported)
    assert not (tmp_path / "a.csv").exists()
    assert await finished(own, *words, "--out", str(tmp_path / "b.csv")) == 0
    async with resources.db.tenant(own) as session:
        again = await Office(session, own, office.maker, office.checker).export(batch)
    assert ((tmp_path / "b.csv").read_bytes(), again.first) == (again.content, False)
    assert (await state(resources, own))["payouts"] == {"submitting": 2}
