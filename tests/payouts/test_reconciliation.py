from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text

from app.ledger.service import Leg
from app.payouts import checkup, reconciliation
from tests.factories.money import move
from tests.factories.payables import NOW, make_payable
from tests.payouts.conftest import Office


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        ("UPDATE payout_batches SET total_minor = total_minor + 1", "total"),
        ("UPDATE payout_batches SET payout_count = 3", "count"),
        ("UPDATE payouts SET amount_minor = 1", "withdrawal asks"),
        ("UPDATE withdrawals SET amount_minor = 1", "open withdrawal"),
        ("UPDATE commissions SET withdrawal_id = NULL", "belong to such"),
        ("UPDATE commissions SET status = 'payable'", "member_payable"),
        ("UPDATE withdrawals SET status = 'cancelled'", "member_in_payout"),
        ("UPDATE payouts SET status = 'paid'", "member_paid"),
    ],
)
async def test_each_way_to_differ_is_found(office: Office, fault: str, check: str) -> None:
    await make_payable(office.session, office.merchant_id, 700)
    await office.exported()
    sound = await reconciliation.reconcile(office.session, merchant_id=office.merchant_id)
    assert (sound.differences, sound.totals["in_payout_minor"], sound.totals["batches"]) == ([], 700, 1)
    await office.session.execute(text(fault))
    report = await reconciliation.reconcile(office.session, merchant_id=office.merchant_id)
    assert any(check in difference.check for difference in report.differences)
    assert not report.as_dict()["ok"]


async def test_money_booked_past_the_payouts_is_found(office: Office) -> None:
    promoter = await make_payable(office.session, office.merchant_id, 700)
    legs = Leg("member_payable", promoter.member_id, -700), Leg("member_paid", promoter.member_id, 700)
    await move(office.session, office.merchant_id, *legs)
    report = await reconciliation.reconcile(office.session, merchant_id=office.merchant_id)
    found = {(difference.subject_id, difference.expected, difference.found) for difference in report.differences}
    assert found == {(promoter.member_id, 700, 0), (promoter.member_id, 0, 700)}


async def test_one_batch_is_compared_alone_where_one_is_named(office: Office) -> None:
    await make_payable(office.session, office.merchant_id, 700)
    first = await office.exported()
    await make_payable(office.session, office.merchant_id, 900)
    second = await office.exported()
    await office.session.execute(
        text("UPDATE payout_batches SET payout_count = 9 WHERE number = :n"), {"n": first.number}
    )
    for batch, expected in ((first, 1), (second, 0)):
        report = await reconciliation.reconcile(office.session, merchant_id=office.merchant_id, batch_id=batch.id)
        assert len(report.differences) == expected


async def test_what_is_stuck_is_named_with_who_has_to_act(office: Office) -> None:
    await make_payable(office.session, office.merchant_id, 700)
    await make_payable(office.session, office.merchant_id, 800, payee=False)

    async def stuck(days: int) -> set[str]:
        at = NOW + timedelta(days=days)
        return {one.check for one in await checkup.examine(office.session, merchant_id=office.merchant_id, now=at)}

    batch = await office.build()
    assert await stuck(0) == set()
    assert await stuck(2) == {"batch not approved"}
    await office.approve(batch)
    assert await stuck(2) == {"batch not exported"}
    await office.export(batch)
    assert await stuck(4) == {"payout without a result"}
    assert await stuck(40) == {"payout without a result", "payable, but no payee account"}
