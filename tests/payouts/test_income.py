"""What people were paid in a quarter: by campaign, less fees, as the ledger has it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text

from app.kit.errors import Conflict
from app.payouts import income, results, terms
from app.payouts.result_file import ResultFile, ResultRow
from app.payouts.rules import Terms
from tests.factories import make_campaign, make_participant
from tests.factories.payables import NOW, make_commission, make_payable
from tests.payouts.conftest import Office

LAST_OF_2025, FIRST_OF_2026 = datetime(2025, 12, 31, 15, 59, 59, tzinfo=UTC), datetime(2025, 12, 31, 16, tzinfo=UTC)


async def paid_at(office: Office, at: datetime) -> None:
    batch = await office.exported()
    payouts = await office.payouts(batch)
    file = ResultFile(rows=[ResultRow(n, payout.id, "paid", payout.id) for n, payout in enumerate(payouts, 2)])
    who: dict[str, Any] = {"merchant_id": office.merchant_id, "batch_id": batch.id, "actor_id": office.checker}
    await results.import_results(office.session, **who, file=file, now=at)


async def report(office: Office, year: int, quarter: int) -> income.Income:
    return await income.report(office.session, merchant_id=office.merchant_id, year=year, quarter=quarter)


async def test_campaigns_and_fees_add_up_to_what_was_paid(office: Office) -> None:
    first = await make_payable(office.session, office.merchant_id, 1_000)
    other = await make_campaign(office.session, office.merchant_id)
    again = await make_participant(office.session, other)
    again.member_id = first.member_id
    await office.session.flush()
    await make_commission(office.session, again, 500)
    await terms.change(
        office.session,
        merchant_id=office.merchant_id,
        actor_id=office.checker,
        terms=Terms(fee_minor=30, fee_bearer="payee"),
        now=NOW,
    )
    await paid_at(office, FIRST_OF_2026)
    found = await report(office, 2026, 1)
    assert found.paid_minor == {"CNY": 1_470}
    assert sorted((line.item, line.payouts, line.amount_minor) for line in found.lines) == [
        ("commission", 1, 500),
        ("commission", 1, 1_000),
        ("payout_fee", 1, -30),
    ]
    assert {line.payee.real_name for line in found.lines} == {"张小明"}


async def test_quarters_are_chinas(office: Office) -> None:
    for amount, at in ((700, LAST_OF_2025), (800, FIRST_OF_2026)):
        await make_payable(office.session, office.merchant_id, amount)
        await paid_at(office, at)
    assert [(await report(office, *q)).paid_minor for q in ((2025, 4), (2026, 1), (2026, 2))] == [
        {"CNY": 700},
        {"CNY": 800},
        {},
    ]


@pytest.mark.parametrize("quarter", [1, 2, 3, 4])
def test_one_quarter_ends_where_the_next_begins(quarter: int) -> None:
    following = (2027, 1) if quarter == 4 else (2026, quarter + 1)
    assert income.bounds(2026, quarter)[1] == income.bounds(*following)[0]


async def test_what_does_not_add_up_is_not_reported(office: Office) -> None:
    await make_payable(office.session, office.merchant_id, 700)
    await paid_at(office, FIRST_OF_2026)
    await office.session.execute(text("UPDATE commissions SET withdrawal_id = NULL"))
    with pytest.raises(Conflict, match="income_does_not_add_up"):
        await report(office, 2026, 1)
