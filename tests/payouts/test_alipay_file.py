"""Alipay's template: its header, its limits, its encodings; written once."""

from __future__ import annotations

import csv
import hashlib
import io
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import update

from app.kit.errors import Conflict, InvitreeError, Unprocessable
from app.kit.spreadsheets import bare
from app.models import Participant, Payout, PayoutBatch
from app.payouts import alipay_file, exports, payout_file, reconciliation, service, withdrawals
from app.payouts.alipay_file import MOST_ROWS, AlipayFormat, Payer
from app.payouts.payout_file import PayoutLine
from app.payouts.planning import Choice
from tests.factories.payables import NOW, buckets, make_payable, store_payee
from tests.payouts.conftest import Office

FORMS: tuple[AlipayFormat, ...] = ("alipay", "alipay-gbk")
PAYER = Payer("finance@shop.example.com", "某某科技有限公司")
LINE = PayoutLine(
    "pay_01h2xcejqtf2nbrexx3vqjhp41", "PB20261122ABCDEFGH", "alipay", "zhang@example.com", "张小明", Decimal("12.50"),
    "CNY", "佣金",
)  # fmt: skip


def render(*lines: PayoutLine, format_: AlipayFormat = "alipay") -> bytes:
    return alipay_file.render(lines, format_, number="PB20261122ABCDEFGH", payer=PAYER, now=NOW)


async def export(
    office: Office, batch: PayoutBatch, format_: AlipayFormat = "alipay", payer: Payer | None = PAYER
) -> exports.Exported:
    own = {"merchant_id": office.merchant_id, "batch_id": batch.id, "actor_id": office.checker}
    return await exports.export(office.session, **own, format_=format_, payer=payer, now=NOW)


async def approved(office: Office, *amounts: int) -> PayoutBatch:
    for number, amount in enumerate(amounts):
        account = f"zhang{number}@example.com"
        await make_payable(office.session, office.merchant_id, amount, kind="alipay", account=account)
    return await office.approve(await office.build())


@pytest.mark.parametrize(("format_", "encoding"), [("alipay", "utf-8"), ("alipay-gbk", "gbk")])
async def test_the_header_totals_its_rows(office: Office, format_: AlipayFormat, encoding: str) -> None:
    batch = await approved(office, 1_250, 99_99)
    exported = await export(office, batch, format_)
    head, values, columns, *rows = csv.reader(io.StringIO(exported.content.decode(encoding)))
    assert (tuple(head), tuple(columns)) == (alipay_file.HEADER, alipay_file.COLUMNS)
    assert values[0] == batch.number
    assert values[2:] == [PAYER.account, PAYER.name, "112.49", "2"]
    assert sum(Decimal(row[3]) for row in rows) == Decimal(values[4])
    assert [row[1:3] for row in rows] == [["zhang0@example.com", "张小明"], ["zhang1@example.com", "张小明"]]
    assert all(len(row[0]) <= 22 for row in rows)
    assert 11 <= len(batch.number) <= 32
    assert batch.number.isalnum()
    assert batch.number in exported.name


async def test_exported_twice_it_is_the_same_to_the_byte(office: Office) -> None:
    batch = await approved(office, 1_250)
    digests = {hashlib.sha256((await export(office, batch)).content).hexdigest() for _ in range(2)}
    assert len(digests) == 1
    await office.session.execute(update(Payout).values(status="failed"))
    assert hashlib.sha256((await export(office, batch)).content).hexdigest() in digests
    with pytest.raises(Conflict, match="batch_has_results"):
        await export(office, batch, "alipay-gbk")


async def test_other_accounts_are_not_left_out_in_silence(office: Office) -> None:
    await make_payable(office.session, office.merchant_id, 700)
    with pytest.raises(Conflict, match="alipay_file_other_accounts"):
        await export(office, await approved(office, 1_250))


async def test_a_payer_is_asked_for(office: Office) -> None:
    batch = await approved(office, 1_250)
    with pytest.raises(Unprocessable, match="payer_missing"):
        await export(office, batch, payer=None)


def test_three_thousand_rows_fit_and_no_more() -> None:
    assert render(*[LINE] * MOST_ROWS).count(b"\r\n") == MOST_ROWS + 3
    with pytest.raises(Conflict, match="alipay_file_too_long"):
        render(*[LINE] * (MOST_ROWS + 1))


@pytest.mark.parametrize("text", ["=1+1@example.com", "+86", "＝1", "张;=1+1", ""])
def test_what_a_spreadsheet_would_evaluate_is_refused(text: str) -> None:
    for line in (replace(LINE, account=text), replace(LINE, real_name=text)):
        with pytest.raises(InvitreeError, match="alipay_cell_refused"):
            render(line)


async def test_who_cannot_stand_in_the_template_is_left_out_and_the_others_are_paid(office: Office) -> None:
    own: dict[str, Any] = {"merchant_id": office.merchant_id}
    named = {"-李四": "li@example.com", "王五": "=cmd|x@e.com", "赵六": "zhao@example.com", "=孙七": "sun@example.com"}
    promoters = {}
    for number, (name, account) in enumerate(named.items()):
        saved: dict[str, Any] = {"kind": "alipay", "account": f"{number}@example.com"}
        promoters[name] = await make_payable(office.session, office.merchant_id, 700, **saved)
        await store_payee(office.session, promoters[name], real_name=name, account=account)
    await withdrawals.request(office.session, **own, member_id=promoters["=孙七"].member_id, now=NOW)
    planned = await service.preview(office.session, **own, choice=Choice(channel="alipay"))
    assert [each.member_id for each in planned.payouts] == [promoters["赵六"].member_id]
    assert {(each.member_id, each.reason) for each in planned.skipped} == {
        (promoters[name].member_id, "payee_account_refused") for name in named if name != "赵六"
    }
    built = await service.build(office.session, **own, actor_id=office.maker, now=NOW, choice=Choice(channel="alipay"))
    exported = await export(office, await office.approve(built.batch))
    assert "zhao@example.com,赵六" in exported.content.decode()


def test_a_name_may_begin_with_an_apostrophe() -> None:
    named = replace(LINE, real_name="'Abd al-Rahman")
    assert ",zhang@example.com,'Abd al-Rahman,12.50," in render(named).decode()
    (row,) = csv.DictReader(io.StringIO(payout_file.render([named], "csv", created=NOW).decode(), newline=""))
    assert bare(row["real_name"]) == "'Abd al-Rahman"


async def unnameable(office: Office) -> tuple[PayoutBatch, Participant]:
    """A batch for files, with one name as it was once saved."""
    promoter = await make_payable(office.session, office.merchant_id, 700, kind="alipay", account="old@example.com")
    await store_payee(office.session, promoter, real_name="=李四")
    return await approved(office, 1_250, 99_99), promoter


async def test_one_whom_the_template_cannot_name_has_failed_and_the_others_are_paid(office: Office) -> None:
    batch, promoter = await unnameable(office)
    exported = await export(office, batch)
    (failed,) = [each for each in await office.payouts(batch) if each.member_id == promoter.member_id]
    assert (failed.status, failed.reason, exported.left_out) == ("failed", "alipay_cell_refused", [failed.id])
    assert await buckets(office.session, promoter) == (700, 0, 0)
    assert "112.49,2\r\n" in exported.content.decode()
    assert failed.id not in (await office.export(batch)).content.decode()
    assert [(await export(office, batch, form)).left_out for form in FORMS] == [[failed.id]] * 2
    assert (await export(office, batch)).content == exported.content
    assert (await reconciliation.reconcile(office.session, merchant_id=office.merchant_id)).differences == []


async def test_one_who_may_be_paid_by_another_file_is_left_out_as_it_is(office: Office) -> None:
    batch, promoter = await unnameable(office)
    generic = await office.export(batch)
    exported = await export(office, batch)
    (left,) = [each for each in await office.payouts(batch) if each.member_id == promoter.member_id]
    assert (left.status, exported.left_out) == ("submitting", [left.id])
    assert left.id in generic.content.decode()
    assert await buckets(office.session, promoter) == (0, 700, 0)


async def test_a_batch_of_nobody_whom_the_template_can_name_stays_approved(office: Office) -> None:
    promoter = await make_payable(office.session, office.merchant_id, 700, kind="alipay", account="old@example.com")
    await store_payee(office.session, promoter, real_name="=李四")
    batch = await office.approve(await office.build())
    (payout,) = await office.payouts(batch)
    with pytest.raises(Unprocessable, match=f"alipay_cell_refused.*{payout.id}"):
        async with office.session.begin_nested():
            await export(office, batch)
    await office.session.refresh(batch)
    await office.session.refresh(payout)
    assert (batch.status, payout.status) == ("approved", "created")
    assert await buckets(office.session, promoter) == (0, 700, 0)


def test_a_name_that_gbk_has_not_wants_the_other_encoding() -> None:
    rare = replace(LINE, real_name="𠮷田")
    assert "𠮷田" in render(rare).decode()
    with pytest.raises(Unprocessable, match=f"alipay_file_encoding.*{LINE.payout_id[-22:]}"):
        render(rare, format_="alipay-gbk")
