"""`invitree income report` and `invitree ledger statement`, as finance runs them."""

from __future__ import annotations

import asyncio
import csv
import stat
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from app.cli import app
from app.kit import clock
from app.models import AuditEntry
from app.payouts import results
from app.payouts.result_file import ResultFile, ResultRow
from app.resources import Resources
from tests.factories import MerchantFixture
from tests.factories.payables import make_payable, make_user, store_payee
from tests.payouts.conftest import Office

runner = CliRunner()


@pytest.fixture
async def member(resources: Resources, merchant: MerchantFixture) -> str:
    """Paid 17.70 just now, under a name that a spreadsheet would evaluate."""
    async with resources.db.tenant(merchant.test_id) as session:
        promoter = await make_payable(session, merchant.test_id, 1_770)
        await store_payee(session, promoter, real_name="=1+1 张小明")
        office = Office(session, merchant.test_id, *[await make_user(session, merchant.test_id) for _ in range(2)])
        batch = await office.exported()
        rows = [ResultRow(2, payout.id, "paid", "B1") for payout in await office.payouts(batch)]
        own: dict[str, Any] = {"merchant_id": merchant.test_id, "batch_id": batch.id, "actor_id": office.checker}
        await results.import_results(session, **own, file=ResultFile(rows=rows), now=clock.utcnow())
    return promoter.member_id


def quarter(merchant: MerchantFixture, *words: str) -> Any:
    now: datetime = clock.shanghai(clock.utcnow())
    when = ["--year", str(now.year), "--quarter", str((now.month + 2) // 3)]
    return runner.invoke(app, ["income", "report", "--merchant", merchant.test_id, *when, *words])


def test_names_are_masked_and_the_sum_is_the_ledgers(merchant: MerchantFixture, member: str, tmp_path: Path) -> None:
    out = tmp_path / "income.csv"
    done = quarter(merchant, "--out", str(out))
    assert (done.exit_code, "17.70 CNY to 1 person" in done.stderr) == (0, True), done.output
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    with out.open(encoding="utf-8", newline="") as opened:
        (row,) = csv.DictReader(opened)
    assert (row["member_id"], row["amount"], row["item"]) == (member, "17.70", "commission")
    assert ("张小明" in done.output, row["real_name"], row["account"][:4]) == (False, "'=****", "****")


async def test_full_names_take_a_user_and_are_written_down(
    merchant: MerchantFixture, member: str, resources: Resources, tmp_path: Path
) -> None:
    async with resources.db.tenant(merchant.test_id) as session:
        viewer, finance = (
            await make_user(session, merchant.test_id, "viewer"),
            await make_user(session, merchant.test_id),
        )
    out = tmp_path / "income.csv"
    assert (await asyncio.to_thread(quarter, merchant, "--full")).exit_code == 2
    refused = await asyncio.to_thread(quarter, merchant, "--full", "--as", viewer, "--out", str(out))
    assert (refused.exit_code, out.exists()) == (1, False)
    done = await asyncio.to_thread(quarter, merchant, "--full", "--as", finance, "--out", str(out), "--json")
    found = msgspec.json.decode(done.stdout)
    assert [line["real_name"] for line in found["lines"]] == ["=1+1 张小明"]
    assert "'=1+1 张小明" in out.read_text("utf-8")
    async with resources.db.tenant(merchant.test_id) as session:
        (entry,) = (await session.scalars(select(AuditEntry).where(AuditEntry.action.startswith("income")))).all()
    assert (entry.action, entry.actor) == ("income.reported_in_full", finance)


def test_xlsx_by_the_files_name(merchant: MerchantFixture, member: str, tmp_path: Path) -> None:
    out = tmp_path / "income.xlsx"
    assert quarter(merchant, "--out", str(out)).exit_code == 0
    assert out.read_bytes().startswith(b"PK")


def test_a_statement_of_a_member_and_of_a_merchant(merchant: MerchantFixture, member: str, tmp_path: Path) -> None:
    out = tmp_path / "statement.csv"
    done = runner.invoke(app, ["ledger", "statement", "--member", member, "--out", str(out)])
    assert (done.exit_code, "17.70" in done.stdout) == (0, True), done.output
    with out.open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert (rows[0]["kind"], rows[-1]["kind"]) == ("opening_balance", "closing_balance")
    assert {row["account"]: row["balance"] for row in rows[-5:]}["paid"] == "17.70"
    whole = ["ledger", "statement", "--merchant", merchant.test_id, "--json"]
    found = msgspec.json.decode(runner.invoke(app, whole).stdout)
    assert sum(entry["amount_minor"] for entry in found["entries"]) == sum(
        each["closing_minor"] for each in found["accounts"]
    )
    later = runner.invoke(app, [*whole, "--since", "2199-01-01"])
    assert msgspec.json.decode(later.stdout)["entries"] == []


@pytest.mark.parametrize(
    ("words", "code"),
    [([], 2), (["--member", "x"], 2), (["--merchant", "x"], 2), (["--member", "mbr_01h2xcejqtf2nbrexx3vqjhp41"], 1)],
    ids=["whose", "no member", "no merchant", "unknown"],
)
def test_nobodys_statement(words: list[str], code: int, merchant: MerchantFixture) -> None:
    result = runner.invoke(app, ["ledger", "statement", *words])
    assert (result.exit_code, result.exception is None or code) == (code, result.exception is None or code)
