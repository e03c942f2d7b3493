from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import func, select

from app.db.outbox import OutboxEvent
from app.kit import ids
from app.kit.errors import Conflict
from app.ledger import service as ledger
from app.ledger.verify import verify
from app.models import Commission, LedgerTransaction, Payout, PayoutBatch, Withdrawal
from app.payouts import exports, queries, reconciliation, results, service
from app.payouts.result_file import parse
from app.resources import Resources
from tests.factories import MerchantFixture
from tests.factories.locks import until_blocked
from tests.factories.payables import NOW, buckets, make_commission, make_debt, make_payable, make_user, statuses
from tests.payouts.conftest import Office

HEAD = "payout_id,status,external_id,reason,paid_at\n"


async def payouts(office: Office, batch: PayoutBatch) -> Sequence[Payout]:
    return await queries.payouts_of_batch(office.session, merchant_id=office.merchant_id, batch_id=batch.id)


async def report(office: Office, batch: PayoutBatch, *rows: str) -> results.Imported:
    imported = await results.import_results(
        office.session,
        merchant_id=office.merchant_id,
        batch_id=batch.id,
        file=parse((HEAD + "\n".join(rows)).encode()),
        actor_id=office.checker,
        now=NOW,
    )
    differences = (await reconciliation.reconcile(office.session, merchant_id=office.merchant_id)).differences
    assert differences == []
    return imported


async def events(office: Office) -> list[str]:
    return sorted((await office.session.scalars(select(OutboxEvent.type))).all())


async def test_paid_and_failed_end_where_they_belong(office: Office) -> None:
    lucky = await make_payable(office.session, office.merchant_id, 700, 300)
    unlucky = await make_payable(office.session, office.merchant_id, 900)
    batch = await office.exported()
    first, second = await payouts(office, batch)
    imported = await report(
        office, batch, f"{first.id},paid,BANK1,,{NOW.isoformat()}", f"{second.id},failed,,户名不符,"
    )
    assert (imported.paid, imported.failed, imported.unchanged, imported.open) == (1, 1, 0, 0)
    assert (batch.status, batch.settled_at) == ("settled", NOW)
    assert await buckets(office.session, lucky) == (0, 0, 1_000)
    assert await buckets(office.session, unlucky) == (900, 0, 0)
    assert await statuses(office.session, lucky) == ["paid", "paid"]
    assert await statuses(office.session, unlucky) == ["payable"]
    held = await queries.commission_ids(
        office.session, merchant_id=office.merchant_id, withdrawal_ids=[first.withdrawal_id, second.withdrawal_id]
    )
    assert (len(held[first.withdrawal_id]), held[second.withdrawal_id]) == (2, [])
    assert (first.external_id, second.reason) == ("BANK1", "户名不符")
    assert await events(office) == ["commission.paid", "commission.paid", "payout.failed", "payout.paid"]
    found = select(Withdrawal.status).order_by(Withdrawal.id)
    assert sorted((await office.session.scalars(found)).all()) == ["failed", "paid"]


async def test_the_same_file_again_changes_nothing(office: Office) -> None:
    await make_payable(office.session, office.merchant_id, 700)
    batch = await office.exported()
    (payout,) = await payouts(office, batch)
    row = f"{payout.id},paid,BANK1,,{NOW.isoformat()}"
    await report(office, batch, row)
    before = await office.session.scalar(select(func.count()).select_from(LedgerTransaction)), await events(office)
    again = await report(office, batch, row)
    assert (again.paid, again.unchanged, again.refused) == (0, 1, [])
    after = await office.session.scalar(select(func.count()).select_from(LedgerTransaction)), await events(office)
    assert before == after


async def test_results_may_come_in_parts(office: Office) -> None:
    for _ in range(2):
        await make_payable(office.session, office.merchant_id, 700)
    batch = await office.exported()
    rows = [f"{payout.id},paid,,," for payout in await payouts(office, batch)]
    assert (await report(office, batch, rows[0])).open == 1
    assert batch.status == "exported"
    assert (await report(office, batch, *rows)).unchanged == 1
    assert batch.status == "settled"


async def test_a_failed_one_can_be_paid_by_the_next_batch(office: Office) -> None:
    promoter = await make_payable(office.session, office.merchant_id, 700)
    first = await office.exported()
    (failed,) = await payouts(office, first)
    await report(office, first, f"{failed.id},failed,,,")
    second = await office.exported()
    (paid,) = await payouts(office, second)
    late = await report(office, first, f"{failed.id},paid,LATE,,")
    assert [fault.code for fault in late.refused] == ["result_changed"]
    await report(office, second, f"{paid.id},paid,,,")
    assert await buckets(office.session, promoter) == (0, 0, 700)


async def test_a_payout_of_another_batch_is_unknown_here(office: Office) -> None:
    await make_payable(office.session, office.merchant_id, 700)
    first = await office.exported()
    await make_payable(office.session, office.merchant_id, 900)
    second = await office.exported()
    (other,) = await payouts(office, second)
    imported = await report(office, first, f"{other.id},paid,,,")
    assert [fault.code for fault in imported.refused] == ["payout_unknown"]
    assert other.status == "submitting"


async def test_nothing_is_imported_before_the_export(office: Office) -> None:
    await make_payable(office.session, office.merchant_id, 700)
    batch = await office.build()
    (payout,) = await payouts(office, batch)
    with pytest.raises(Conflict, match="batch_not_approved"):
        await report(office, batch, f"{payout.id},paid,,,")
    await office.approve(batch)
    with pytest.raises(Conflict, match="batch_not_exported"):
        await report(office, batch, f"{payout.id},paid,,,")


async def test_a_refund_while_the_money_is_out_goes_below_zero_and_is_taken_from_the_next(office: Office) -> None:
    promoter = await make_payable(office.session, office.merchant_id, 700)
    batch = await office.exported()
    await make_debt(office.session, promoter, 200)
    (payout,) = await payouts(office, batch)
    await report(office, batch, f"{payout.id},paid,,,")
    assert await buckets(office.session, promoter) == (-200, 0, 700)
    with pytest.raises(Conflict, match="nothing_to_pay"):
        await office.build()


async def _handed_over(merchant: MerchantFixture, resources: Resources, members: int) -> tuple[str, str, bytes]:
    """A committed batch in its channel's hands: its id, who may act, and a file that says all are paid."""
    own = merchant.test_id
    async with resources.db.tenant(own) as session:
        for _ in range(members):
            await make_payable(session, own, 700)
        maker, checker = [await make_user(session, own, "owner") for _ in range(2)]
        batch = (await service.build(session, merchant_id=own, actor_id=maker, now=NOW)).batch
        scope: dict[str, Any] = {"merchant_id": own, "batch_id": batch.id, "actor_id": checker}
        await service.approve(session, **scope, now=NOW)
        await exports.export(session, **scope, format_="csv", now=NOW)
        found = await queries.payouts_of_batch(session, merchant_id=own, batch_id=batch.id)
    rows = "".join(f"{payout.id},paid,,,\n" for payout in found)
    return batch.id, checker, (HEAD + rows).encode()


async def test_imports_at_once_pay_once(merchant: MerchantFixture, resources: Resources) -> None:
    batch_id, user, content = await _handed_over(merchant, resources, members=4)

    async def run() -> int:
        async with resources.db.tenant(merchant.test_id) as session:
            scope: dict[str, Any] = {"merchant_id": merchant.test_id, "batch_id": batch_id, "actor_id": user}
            return (await results.import_results(session, **scope, file=parse(content), now=NOW)).paid

    found = await asyncio.gather(*(run() for _ in range(6)))
    assert sorted(found) == [0, 0, 0, 0, 0, 4]
    async with resources.db.tenant(merchant.test_id) as session:
        report_ = await reconciliation.reconcile(session, merchant_id=merchant.test_id)
        assert (report_.differences, report_.totals["paid_minor"]) == ([], 2_800)


async def test_an_import_takes_the_paid_and_the_failed_in_one_order(
    merchant: MerchantFixture, resources: Resources
) -> None:
    """An order earns for both: it must not have the one and wait for the other, while the import does the reverse."""
    batch_id, user, _ = await _handed_over(merchant, resources, members=2)
    scope: dict[str, Any] = {"merchant_id": merchant.test_id, "batch_id": batch_id}
    async with resources.db.tenant(merchant.test_id) as session:
        found = await queries.payouts_of_batch(session, **scope)
    lower, higher = sorted(found, key=lambda payout: payout.member_id)
    content = f"{HEAD}{lower.id},failed,,,\n{higher.id},paid,,,\n".encode()

    async def run() -> int:
        async with resources.db.tenant(merchant.test_id) as session:
            file = parse(content)
            return (await results.import_results(session, **scope, actor_id=user, file=file, now=NOW)).paid

    async with resources.db.tenant(merchant.test_id) as session:
        money: dict[str, Any] = {"merchant_id": merchant.test_id, "currency": "CNY"}
        await ledger.lock(session, **money, member_ids=[lower.member_id])
        importing = asyncio.create_task(run())
        await until_blocked(resources, importing)
        await ledger.lock(session, **money, member_ids=[lower.member_id, higher.member_id])
    assert await importing == 1


async def test_a_batch_may_be_longer_than_a_statement_has_parameters(office: Office) -> None:
    many = [ids.new("wdr") for _ in range(33_000)]
    assert await queries.commission_ids(office.session, merchant_id=office.merchant_id, withdrawal_ids=many) == {}


async def test_a_crash_in_the_middle_of_an_import_pays_nothing(merchant: MerchantFixture, resources: Resources) -> None:
    batch_id, user, content = await _handed_over(merchant, resources, members=2)
    scope: dict[str, Any] = {"merchant_id": merchant.test_id, "batch_id": batch_id, "actor_id": user}

    async def die_halfway() -> None:
        async with resources.db.tenant(merchant.test_id) as session:
            await results.import_results(session, **scope, file=parse(content), now=NOW)
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        await die_halfway()
    async with resources.db.tenant(merchant.test_id) as session:
        assert (await reconciliation.reconcile(session, merchant_id=merchant.test_id)).totals["paid_minor"] == 0
        imported = await results.import_results(session, **scope, file=parse(content), now=NOW)
        assert (imported.paid, imported.batch.status) == (2, "settled")


async def test_what_was_refunded_in_full_meanwhile_is_closed_when_the_payout_fails(office: Office) -> None:
    promoter = await make_payable(office.session, office.merchant_id, 700)
    (earned,) = (await office.session.scalars(select(Commission))).all()
    batch = await office.exported()
    await make_commission(office.session, promoter, -300, reverses=earned)
    await make_commission(office.session, promoter, -400, reverses=earned)
    (payout,) = await payouts(office, batch)
    await report(office, batch, f"{payout.id},failed,,,")
    assert await statuses(office.session, promoter) == ["reversed"] * 3
    assert await buckets(office.session, promoter) == (0, 0, 0)
    assert (await verify(office.session, merchant_id=office.merchant_id)).differences == []
