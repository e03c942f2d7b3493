"""The least withdrawal, the fee, who bears it, and cut-offs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from app.kit.errors import Conflict, Forbidden, Unprocessable
from app.ledger import statement
from app.ledger.service import Leg
from app.ledger.verify import verify
from app.models import Participant
from app.payouts import reconciliation, results, rules, service, terms, withdrawals
from app.payouts.planning import Choice
from app.payouts.result_file import ResultFile, ResultRow
from app.payouts.rules import Terms
from app.resources import Resources
from tests.factories import MerchantFixture
from tests.factories.money import move, sum_of_entries
from tests.factories.payables import NOW, buckets, make_payable, make_user
from tests.payouts.conftest import Office

PAYEE_BEARS = Terms(minimum_minor=500, fee_minor=20, fee_bps=60, fee_bearer="payee")


async def ask(office: Office, promoter: Participant, fee_minor: int | None = None) -> str:
    made = await withdrawals.request(
        office.session, merchant_id=office.merchant_id, member_id=promoter.member_id, now=NOW, fee_minor=fee_minor
    )
    return made.id


async def pay(office: Office) -> list[tuple[int, int]]:
    """Amounts of the payouts of a batch of all, with the fees that were withheld; all of them are paid."""
    batch = await office.exported()
    found = await office.session.execute(
        text("""SELECT p.id, p.amount_minor, w.fee_minor FROM payouts p JOIN withdrawals w ON w.id = p.withdrawal_id
                WHERE p.batch_id = (SELECT id FROM payout_batches ORDER BY id DESC LIMIT 1) ORDER BY 2""")
    )
    rows = found.all()
    payouts = await office.payouts(batch)
    file = ResultFile(rows=[ResultRow(n, payout.id, "paid", f"B{n}") for n, payout in enumerate(payouts, 2)])
    who: dict[str, Any] = {"merchant_id": office.merchant_id, "batch_id": batch.id, "actor_id": office.checker}
    await results.import_results(office.session, **who, file=file, now=NOW)
    return [(row.amount_minor, row.fee_minor) for row in rows]


async def test_without_settings_it_is_one_yuan_and_no_fee(office: Office) -> None:
    assert await terms.get(office.session, merchant_id=office.merchant_id) == Terms(100, 0, 0, "merchant")


async def test_a_fee_that_the_payee_bears_is_a_leg_of_its_own(office: Office) -> None:
    promoter = await make_payable(office.session, office.merchant_id, 1_770)
    await office.agree(PAYEE_BEARS)
    shown = await withdrawals.quote(office.session, merchant_id=office.merchant_id, member_id=promoter.member_id)
    assert (shown.withheld_minor, shown.net_minor, shown.obstacle) == (30, 1_740, None)
    await ask(office, promoter, fee_minor=30)
    assert await buckets(office.session, promoter) == (0, 1_770, 0)
    assert await pay(office) == [(1_740, 30)]
    assert await buckets(office.session, promoter) == (0, 0, 1_740)
    assert await sum_of_entries(office.session, office.merchant_id, "payout_fees") == 30
    assert (await reconciliation.reconcile(office.session, merchant_id=office.merchant_id)).differences == []
    assert (await verify(office.session, merchant_id=office.merchant_id)).differences == []


async def test_a_fee_that_the_merchant_bears_leaves_the_payout_whole(office: Office) -> None:
    promoter = await make_payable(office.session, office.merchant_id, 1_770)
    await office.agree(Terms(fee_minor=20))
    plan = await service.preview(office.session, merchant_id=office.merchant_id)
    assert [(each.amount_minor, each.fee_minor, each.fee_bearer) for each in plan.payouts] == [(1_770, 20, "merchant")]
    assert await pay(office) == [(1_770, 20)]
    assert await buckets(office.session, promoter) == (0, 0, 1_770)
    assert await sum_of_entries(office.session, office.merchant_id, "payout_fees") == 20
    lines, _ = await statement.whole(
        office.session, merchant_id=office.merchant_id, member_id=None, created_from=None, created_before=None
    )
    borne = [(line.account, line.amount_minor) for line in lines if line.kind == "payout_fee_borne"]
    assert sorted(borne) == [("merchant_proceeds", -20), ("payout_fees", 20)]
    assert (await reconciliation.reconcile(office.session, merchant_id=office.merchant_id)).differences == []
    assert (await verify(office.session, merchant_id=office.merchant_id)).differences == []


async def test_a_fee_that_is_booked_otherwise_is_named(office: Office) -> None:
    await make_payable(office.session, office.merchant_id, 1_770)
    await office.agree(Terms(fee_minor=20))
    await pay(office)
    wrong = Leg("merchant_proceeds", None, 20), Leg("payout_fees", None, -20)
    await move(office.session, office.merchant_id, *wrong)
    found = (await verify(office.session, merchant_id=office.merchant_id)).differences
    assert [(one.check, one.expected_minor, one.found_minor) for one in found] == [
        ("merchant_accounts_hold_what_orders_brought", 4_110, 4_130),
        ("payout_fees_are_what_was_charged", 20, 0),
    ]


async def test_who_has_not_asked_bears_the_fee_of_the_batch(office: Office) -> None:
    await make_payable(office.session, office.merchant_id, 1_000)
    await office.agree(PAYEE_BEARS)
    plan = await service.preview(office.session, merchant_id=office.merchant_id)
    batch = await office.build()
    assert (plan.total_minor, batch.total_minor) == (974, 974)
    await office.cancel(batch)
    assert (await service.preview(office.session, merchant_id=office.merchant_id)).total_minor == 974


async def test_another_fee_than_was_shown_is_refused(office: Office) -> None:
    promoter = await make_payable(office.session, office.merchant_id, 1_770)
    await office.agree(PAYEE_BEARS)
    with pytest.raises(Conflict, match="fee_changed"):
        await ask(office, promoter, fee_minor=0)


async def test_what_was_agreed_when_it_was_asked_for_stays(office: Office) -> None:
    promoter = await make_payable(office.session, office.merchant_id, 1_770)
    await ask(office, promoter)
    await office.agree(PAYEE_BEARS)
    assert await pay(office) == [(1_770, 0)]


async def test_less_than_the_merchants_minimum_is_refused(office: Office) -> None:
    promoter = await make_payable(office.session, office.merchant_id, 499)
    await office.agree(PAYEE_BEARS)
    with pytest.raises(Conflict, match=r"4\.99 is payable; the least is 5\.00"):
        await ask(office, promoter)
    plan = await service.preview(office.session, merchant_id=office.merchant_id)
    assert [each.reason for each in plan.skipped] == ["below_minimum"]


@pytest.mark.parametrize(
    "agreed",
    [Terms(minimum_minor=9), Terms(100, 91, 0, "payee"), Terms(100, 0, 9_100, "payee")],
    ids=["no rail", "fixed", "share"],
)
async def test_what_would_go_out_is_never_less_than_a_rail_takes(office: Office, agreed: Terms) -> None:
    with pytest.raises(Unprocessable, match="payout_net_too_small"):
        await office.agree(agreed)


async def test_nor_does_the_database_take_such_terms(office: Office) -> None:
    row = text("""INSERT INTO payout_settings (merchant_id, minimum_minor, fee_minor, fee_bearer, changed_at)
        SELECT id, 100, 91, 'payee', now() FROM merchants""")
    with pytest.raises(IntegrityError, match="ck_payout_settings_minimum"):
        await office.session.execute(row)


@given(st.integers(10, 10**8), st.integers(0, 10**6), st.integers(0, 1_000), st.integers(0, 10**12))
def test_above_the_minimum_the_net_never_falls_below_it(minimum: int, fee: int, bps: int, more: int) -> None:
    agreed = Terms(minimum, fee, bps, "payee")
    if minimum - agreed.withheld_of(minimum) >= rules.RAIL_MINIMUM_MINOR:
        rules.require_terms(agreed)
        amount = minimum + more
        assert amount - agreed.withheld_of(amount) >= rules.RAIL_MINIMUM_MINOR


async def test_an_operator_sets_no_terms(office: Office) -> None:
    own = {"merchant_id": office.merchant_id, "actor_id": office.maker}
    with pytest.raises(Forbidden, match="role_not_allowed"):
        await terms.change(office.session, **own, terms=Terms(), now=NOW)


async def test_a_cut_off_takes_only_what_was_asked_for_before(office: Office) -> None:
    early, late, silent = [await make_payable(office.session, office.merchant_id, 700 + n) for n in range(3)]
    await ask(office, early)
    own: dict[str, Any] = {"merchant_id": office.merchant_id, "member_id": late.member_id}
    await withdrawals.request(office.session, **own, now=NOW + timedelta(hours=1))
    choice = Choice(requested_before=NOW + timedelta(hours=1))
    plan = await service.preview(office.session, merchant_id=office.merchant_id, choice=choice)
    assert [each.member_id for each in plan.payouts] == [early.member_id]
    assert [(each.member_id, each.reason) for each in plan.skipped] == [(late.member_id, "after_cut_off")]
    batch = await office.build(requested_before=choice.requested_before)
    assert (batch.payout_count, batch.total_minor, batch.requested_before) == (1, 700, choice.requested_before)
    with pytest.raises(Conflict, match="nothing_to_pay"):
        await office.build(requested_before=choice.requested_before)
    rest = await service.preview(office.session, merchant_id=office.merchant_id)
    assert {each.member_id for each in rest.payouts} == {late.member_id, silent.member_id}


async def test_settings_quote_and_cut_off_by_api(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    async with resources.db.tenant(merchant.test_id) as session:
        promoter = await make_payable(session, merchant.test_id, 1_770)
        maker = await make_user(session, merchant.test_id, "operator")
    given = {"minimum_minor": 500, "fee_minor": 20, "fee_bps": 60, "fee_bearer": "payee"}
    assert (await api.put("/v1/payout-settings", json={**given, "user_id": maker})).status_code == 403
    assert (await api.put("/v1/payout-settings", json=given | {"fee_minor": 491})).json()["code"] == (
        "payout_net_too_small"
    )
    saved = (await api.put("/v1/payout-settings", json=given)).json()
    assert saved.items() >= given.items()
    assert (await api.get("/v1/payout-settings")).json() == saved
    quote = (await api.get(f"/v1/members/{promoter.member_id}/withdrawal-quote")).json()
    assert (quote["amount_minor"], quote["fee_minor"], quote["net_minor"], quote["obstacle"]) == (
        1_770,
        30,
        1_740,
        None,
    )
    asked = {"member_id": promoter.member_id, "fee_minor": 30}
    made = (await api.post("/v1/withdrawals", json=asked, headers={"Idempotency-Key": "a"})).json()
    assert (made["amount_minor"], made["fee_minor"], made["net_minor"]) == (1_770, 30, 1_740)
    before = {"user_id": maker, "requested_before": made["created_at"]}
    refused = await api.post("/v1/payout-batches", json=before, headers={"Idempotency-Key": "b"})
    assert (refused.status_code, refused.json()["code"]) == (409, "nothing_to_pay")
