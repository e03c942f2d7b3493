"""Result files whose rows are not what was exported, or not what was said before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from app.kit import spreadsheets
from app.models import PayoutBatch
from app.payouts import queries, results
from app.payouts.payout_file import COLUMNS
from app.payouts.result_echo import changes, exported_rows
from app.payouts.result_file import Fault, ResultRow, parse
from app.payouts.result_rules import Facts, Known, Verdict, judge
from tests.factories.payables import NOW as TODAY
from tests.factories.payables import buckets, make_payable
from tests.payouts.conftest import Office

NOW = datetime(2026, 11, 22, tzinfo=UTC)
HEAD = "payout_id,status,external_id,reason,paid_at\n"
ONE, TWO, THREE = (f"pay_01h2xcejqtf2nbrexx3vqjhp4{number}" for number in range(3))
OPEN = Known("submitting", None)
PAID = Known("paid", "A", "转账成功", NOW)
CELLS = ("B7", "bank", "6222021234567890123", "李 四", "17.70", "CNY")
LINE = dict(zip(("batch_number", "channel", "account", "real_name", "amount", "currency"), CELLS, strict=True))


def read(rows: str, facts: Facts | None = None) -> Verdict:
    return judge(parse((HEAD + rows).encode()), facts or Facts({ONE: OPEN, TWO: OPEN}), now=NOW)


def codes(faults: list[Fault]) -> list[tuple[int, str]]:
    return [(fault.line, fault.code) for fault in faults]


def said(**cells: str) -> str | None:
    return changes(ResultRow(2, ONE, "paid", echoed=tuple(cells.items())), LINE)


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("amount", "99.99"),
        ("amount", "1770"),
        ("amount", "nan"),
        ("amount", "much"),
        ("currency", "USD"),
        ("account", "6222021234567890124"),
        ("account", "6.22202E+18"),
        ("real_name", "王五"),
        ("name", "王五"),
        ("batch_number", "B8"),
        ("channel", "alipay"),
    ],
)
def test_a_cell_of_the_export_that_was_changed_is_named(column: str, cell: str) -> None:
    assert column in (said(**LINE | {column: cell}) or "")


@pytest.mark.parametrize("changed", ["王五", "6222021234567890124"])
def test_names_and_accounts_are_not_repeated(changed: str) -> None:
    assert changed not in (said(account=changed, real_name=changed) or changed)


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("amount", "17.7"),
        ("amount", "¥17.70"),
        ("account", "'6222021234567890123"),
        ("name", "李 四 "),
    ],
)
def test_what_a_spreadsheet_program_does_to_a_cell_is_no_change(column: str, cell: str) -> None:
    assert said(**LINE | {column: cell}) is None


def test_a_cell_that_was_emptied_says_nothing() -> None:
    (row,) = parse(f"payout_id,status,amount,currency\n{ONE},paid, ,\n".encode()).rows
    assert row.echoed == ()


def test_every_column_that_says_what_is_paid_is_read_as_it_was_exported() -> None:
    cells = (ONE, *CELLS[:2], "=1+1;-2@x", "O'Neil", Decimal("1234.50"), "CNY", "佣金")
    content = spreadsheets.to_csv(COLUMNS, [cells])
    (row,) = parse(
        content.replace(b"payout_id", b"status,payout_id").replace(ONE.encode(), b"paid," + ONE.encode())
    ).rows
    assert len(row.echoed) == 6
    assert changes(row, exported_rows(content)[ONE]) is None
    typed = ResultRow(2, ONE, "paid", echoed=(("account", cells[3]), ("real_name", cells[4]), ("amount", "1,234.50")))
    assert changes(typed, exported_rows(content)[ONE]) is None, "as the sheet of typed cells has it"


def test_a_transfer_that_paid_two_is_followed_for_none() -> None:
    verdict = read(f"{ONE},paid,A,,\n{TWO},paid,A,,\n")
    assert codes(verdict.refused) == [(2, "external_id_repeated"), (3, "external_id_repeated")]
    assert TWO in verdict.refused[0].detail


def test_what_failed_may_have_the_number_of_another_row() -> None:
    assert len(read(f"{ONE},paid,A,,\n{TWO},failed,A,,\n").apply) == 2


def test_a_transfer_that_paid_before_pays_nothing_else() -> None:
    verdict = read(f"{ONE},paid,A,,\n{TWO},paid,B,,\n", Facts({ONE: OPEN, TWO: OPEN}, paid_by={"A": THREE}))
    assert (codes(verdict.refused), [row.payout_id for row in verdict.apply]) == ([(2, "external_id_repeated")], [TWO])


def test_who_is_paid_by_it_already_stays_so() -> None:
    facts = Facts({ONE: PAID, TWO: OPEN}, paid_by={"A": ONE})
    verdict = read(f"{ONE},paid,A,,\n{TWO},paid,A,,\n", facts)
    assert ([row.payout_id for row in verdict.unchanged], codes(verdict.refused)) == (
        [ONE],
        [(3, "external_id_repeated")],
    )


@pytest.mark.parametrize(("hours", "refused"), [(-23, False), (-25, True)])
def test_nothing_is_paid_before_it_was_exported(hours: int, refused: bool) -> None:
    facts = Facts({ONE: OPEN}, exported_at=NOW - timedelta(days=5))
    at = NOW - timedelta(days=5) + timedelta(hours=hours)
    verdict = read(f"{ONE},paid,A,,{at.isoformat()}\n", facts)
    assert codes(verdict.refused) == ([(2, "paid_at_before_export")] if refused else [])


@pytest.mark.parametrize(
    ("row", "is_changed"),
    [
        ("A,,2026-11-22T00:00:00Z", False),
        ("A,转账成功,", False),
        ("A,,2026-11-22T00:00:01Z", True),
        ("A,另一个,", True),
    ],
)
def test_another_time_or_reason_later_is_a_change(row: str, is_changed: bool) -> None:
    verdict = read(f"{ONE},paid,{row}\n", Facts({ONE: PAID}))
    assert codes(verdict.refused) == ([(2, "result_changed")] if is_changed else [])
    assert len(verdict.unchanged) == (not is_changed)


def test_when_a_failed_one_was_tried_is_not_compared() -> None:
    assert read(f"{ONE},failed,,,{NOW.isoformat()}\n", Facts({ONE: Known("failed", None)})).unchanged


async def imported(office: Office, batch: PayoutBatch, content: str) -> results.Imported:
    scope: dict[str, Any] = {"merchant_id": office.merchant_id, "batch_id": batch.id, "actor_id": office.checker}
    return await results.import_results(office.session, **scope, file=parse(content.encode()), now=TODAY)


async def test_a_changed_amount_pays_nobody(office: Office) -> None:
    promoters = [await make_payable(office.session, office.merchant_id, 700) for _ in range(2)]
    batch = await office.build()
    await office.approve(batch)
    handed_out = (await office.export(batch)).content.decode().splitlines()
    lines = [f"status,{handed_out[0]}", *(f"paid,{line}" for line in handed_out[1:])]
    changed = lines[1].replace("7.00", "9999.99")
    done = await imported(office, batch, "\n".join([lines[0], changed, lines[2]]) + "\n")
    assert (done.paid, [fault.code for fault in done.refused]) == (1, ["row_changed"])
    assert sorted([(await buckets(office.session, each))[2] for each in promoters]) == [0, 700]
    assert (await imported(office, batch, "\n".join(lines) + "\n")).paid == 1


async def test_one_transfer_pays_one_payout_of_the_merchant(office: Office) -> None:
    numbered = []
    for _ in range(2):
        await make_payable(office.session, office.merchant_id, 700)
        numbered.append(await office.exported())
    found = [(await office.payouts(batch))[0].id for batch in numbered]
    assert (await imported(office, numbered[0], f"{HEAD}{found[0]},paid,BANK1,,\n")).paid == 1
    again = await imported(office, numbered[1], f"{HEAD}{found[1]},paid,BANK1,,\n")
    assert (again.paid, [fault.code for fault in again.refused]) == (0, ["external_id_repeated"])
    assert await queries.paid_by_hand(
        office.session, merchant_id=office.merchant_id, external_ids=["BANK1", "BANK2"]
    ) == {"BANK1": found[0]}
