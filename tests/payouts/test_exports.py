from __future__ import annotations

import asyncio
import csv
import io
import zipfile

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from app.kit.errors import Conflict, Forbidden
from app.models import PayoutBatchFile
from app.payouts import exports, queries, service
from app.payouts.exports import Exported
from app.payouts.payout_file import FORMATS
from app.resources import Resources
from tests.factories import MerchantFixture
from tests.factories.payables import NOW, make_payable, make_payee, make_user, store_payee
from tests.payouts.conftest import Office

HEADER = ["payout_id", "batch_number", "channel", "account", "real_name", "amount", "currency", "remark"]


def rows(exported: Exported) -> list[dict[str, str]]:
    reader = csv.DictReader(io.StringIO(exported.content.decode(), newline=""), strict=True)
    assert reader.fieldnames == HEADER
    return list(reader)


async def test_the_file_has_a_row_a_payout(office: Office) -> None:
    promoter = await make_payable(office.session, office.merchant_id, 1_770, 590, account="6222 0212-3456 7890123")
    batch = await office.approve(await office.build())
    exported = await office.export(batch)
    (payout,) = await queries.payouts_of_batch(office.session, merchant_id=office.merchant_id, batch_id=batch.id)
    assert rows(exported) == [
        {
            "payout_id": payout.id,
            "batch_number": batch.number,
            "channel": "bank",
            "account": "'6222021234567890123",
            "real_name": "张小明",
            "amount": "23.60",
            "currency": "CNY",
            "remark": f"佣金 {batch.number}",
        }
    ]
    await office.session.refresh(payout)
    assert (batch.status, payout.status, payout.member_id) == ("exported", "submitting", promoter.member_id)


async def test_amounts_add_up_to_the_batch_to_the_fen(office: Office) -> None:
    for amount in (100, 101, 199, 5_900, 1_234_567_89):
        await make_payable(office.session, office.merchant_id, amount)
    batch = await office.approve(await office.build())
    found = rows(await office.export(batch))
    assert sum(int(row["amount"].replace(".", "")) for row in found) == batch.total_minor
    assert "1234567.89" in {row["amount"] for row in found}


async def test_exported_again_the_bytes_are_the_same_whatever_has_changed(office: Office) -> None:
    promoter = await make_payable(office.session, office.merchant_id, 700, account="6222020000000000001")
    batch = await office.approve(await office.build())
    first = {format_: await office.export(batch, format_) for format_ in FORMATS}
    await office.session.execute(text("UPDATE payouts SET status = 'failed'"))
    await make_payee(
        office.session, office.merchant_id, promoter.member_id, account="6222020000000000001", real_name="李四"
    )
    for format_, before in first.items():
        again = await office.export(batch, format_)
        assert (again.content, again.name, again.first) == (before.content, before.name, False)
    assert first["csv"].first
    assert first["csv"].sha256 != first["xlsx"].sha256


async def test_the_database_refuses_to_change_an_exported_file(office: Office) -> None:
    await make_payable(office.session, office.merchant_id, 700)
    await office.exported()
    with pytest.raises(DBAPIError, match="permission denied"):
        await office.session.execute(text("UPDATE payout_batch_files SET name = 'x'"))


async def test_the_file_is_sealed_at_rest(office: Office) -> None:
    await make_payable(office.session, office.merchant_id, 700)
    await office.exported()
    stored = (await office.session.execute(text("SELECT content FROM payout_batch_files"))).scalars().all()
    assert len(stored) == 2
    assert all(b"pay_" not in content and content[0] == 2 for content in stored)
    assert len((await office.session.scalars(select(PayoutBatchFile))).all()) == 2


async def test_only_what_was_approved_is_exported(office: Office) -> None:
    await make_payable(office.session, office.merchant_id, 700)
    batch = await office.build()
    with pytest.raises(Conflict, match="batch_not_approved"):
        await office.export(batch)
    with pytest.raises(Forbidden, match="role_not_allowed"):
        await exports.export(
            office.session,
            merchant_id=office.merchant_id,
            batch_id=batch.id,
            format_="csv",
            actor_id=office.maker,
            now=NOW,
        )
    await office.cancel(batch)
    with pytest.raises(Conflict, match="batch_cancelled"):
        await office.export(batch)


@pytest.mark.parametrize(
    "name",
    [
        '=HYPERLINK("http://evil","x")',
        "+1",
        "-1+1|cmd",
        "@SUM(1)",
        "|calc",
        "%00",
        "\t=1",
        "\r\n=1",
        "\ufeff=1",
        "＝1",
        'a",=1',
    ],
)
async def test_a_name_is_never_a_formula(office: Office, name: str) -> None:
    promoter = await make_payable(office.session, office.merchant_id, 700)
    await store_payee(office.session, promoter, real_name=name)
    batch = await office.approve(await office.build())
    (row,) = rows(await office.export(batch))
    assert not row["real_name"].startswith(tuple("=+-@|%＝\t\r\n\ufeff"))
    assert "'" in row["real_name"]
    with zipfile.ZipFile(io.BytesIO((await office.export(batch, "xlsx")).content)) as book:
        assert b"<f>" not in book.read("xl/worksheets/sheet1.xml")


async def test_accounts_that_begin_like_a_formula_are_text(office: Office) -> None:
    await make_payable(office.session, office.merchant_id, 700, kind="wechat", account="-oUpF8uMuAJO")
    promoter = await make_payable(office.session, office.merchant_id, 700, kind="alipay", account="1@example.com")
    await store_payee(office.session, promoter, account="=1+1@example.com")
    batch = await office.approve(await office.build())
    found = {row["account"] for row in rows(await office.export(batch))}
    assert found == {"'-oUpF8uMuAJO", "'=1+1@example.com"}


async def test_xlsx_holds_the_account_exactly(office: Office) -> None:
    await make_payable(office.session, office.merchant_id, 700, account="6222021234567890123")
    exported = await office.export(await office.approve(await office.build()), "xlsx")
    with zipfile.ZipFile(io.BytesIO(exported.content)) as book:
        assert "<t>6222021234567890123</t>" in book.read("xl/sharedStrings.xml").decode()
        assert "<v>7.00</v>" in book.read("xl/worksheets/sheet1.xml").decode()
    assert exported.name.endswith(".xlsx")


async def test_exports_at_once_give_the_same_bytes(merchant: MerchantFixture, resources: Resources) -> None:
    async with resources.db.tenant(merchant.test_id) as session:
        await make_payable(session, merchant.test_id, 700)
        maker, checker = [await make_user(session, merchant.test_id, "owner") for _ in range(2)]
        batch = (await service.build(session, merchant_id=merchant.test_id, actor_id=maker, now=NOW)).batch
        await service.approve(session, merchant_id=merchant.test_id, batch_id=batch.id, actor_id=checker, now=NOW)

    async def export() -> Exported:
        async with resources.db.tenant(merchant.test_id) as session:
            return await exports.export(
                session,
                merchant_id=merchant.test_id,
                batch_id=batch.id,
                format_="csv",
                actor_id=checker,
                now=NOW,
            )

    found = await asyncio.gather(*(export() for _ in range(8)))
    assert len({exported.content for exported in found}) == 1
    assert [exported.first for exported in found].count(True) == 1
