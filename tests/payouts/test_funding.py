"""A prepaid merchant's batches take what it has paid in: put aside when approved, gone when paid, back when not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit import clock, ids
from app.kit.errors import Conflict
from app.ledger import funds
from app.ledger.verify import verify
from app.models import Merchant, PayoutBatch
from app.payouts import checkup, outcomes, queries, reconciliation, results, sending, service, withdrawals
from app.payouts.planning import Choice
from app.payouts.result_file import parse
from app.payouts.rules import FeeBearer, Terms
from app.resources import Resources
from tests.factories import MerchantFixture, make_campaign
from tests.factories.money import sum_of_entries
from tests.factories.payables import NOW, make_payable, make_user
from tests.payouts.conftest import Office


@pytest.fixture
async def prepaid(merchant: MerchantFixture, resources: Resources) -> MerchantFixture:
    """Before the transaction of the test: no merchant's own session may change it."""
    async with resources.db.system() as session:
        await session.execute(update(Merchant).where(Merchant.id == merchant.test_id).values(funding="prepaid"))
    return merchant


async def top_up(session: AsyncSession, merchant_id: str, amount_minor: int) -> None:
    paid: dict[str, Any] = {"source": "top_up", "reference": ids.new("tst"), "amount_minor": amount_minor}
    await funds.received(session, merchant_id=merchant_id, **paid, currency="CNY", occurred_at=NOW)


async def standing(session: AsyncSession, merchant_id: str) -> tuple[int, int, int]:
    """Available, reserved, spent; the books and the payouts agree."""
    assert (await verify(session, merchant_id=merchant_id)).clean
    assert not (await reconciliation.reconcile(session, merchant_id=merchant_id)).differences
    found = await funds.available(session, merchant_id=merchant_id, currency="CNY")
    return found.available_minor, found.reserved_minor, found.spent_minor


async def test_a_batch_above_the_funds_is_refused_when_built(prepaid: MerchantFixture, office: Office) -> None:
    own, session = office.merchant_id, office.session
    await make_payable(session, own, 700)
    await top_up(session, own, 699)
    plan = await service.preview(session, merchant_id=own)
    assert (plan.total_minor, plan.available_minor) == (700, 699)
    with pytest.raises(Conflict, match=r"funds_insufficient: This takes 7\.00 CNY \(700 .* 6\.99 \(699\)"):
        async with session.begin_nested():
            await office.build()
    await top_up(session, own, 1)
    assert (await office.build()).total_minor == 700


async def test_a_batch_that_is_not_covered_any_more_is_refused_when_approved(
    prepaid: MerchantFixture, office: Office
) -> None:
    own, session = office.merchant_id, office.session
    await top_up(session, own, 1_000)
    first = [await make_campaign(session, own) for _ in range(2)]
    for campaign in first:
        await make_payable(session, own, 700, campaign=campaign)
    batches = [await office.build(campaign.id) for campaign in first]
    await office.approve(batches[0])
    with pytest.raises(Conflict, match="funds_insufficient"):
        async with session.begin_nested():
            await office.approve(batches[1])
    await session.refresh(batches[1])
    assert await standing(session, own) == (300, 700, 0)
    stuck = await checkup.examine(session, merchant_id=own, now=clock.utcnow())
    assert {("batch above the funds", batches[1].id)} <= {(one.check, one.subject_id) for one in stuck}
    await top_up(session, own, 400)
    assert (await office.approve(batches[1])).status == "approved"
    assert await standing(session, own) == (0, 1_400, 0)


async def test_results_spend_what_was_paid_and_give_the_rest_back(prepaid: MerchantFixture, office: Office) -> None:
    own, session = office.merchant_id, office.session
    await top_up(session, own, 2_000)
    for amount in (500, 700):
        await make_payable(session, own, amount)
    batch = await office.exported()
    assert await standing(session, own) == (800, 1_200, 0)
    paid, failed = await queries.payouts_of_batch(session, merchant_id=own, batch_id=batch.id)
    rows = f"{paid.id},paid,bank-1,,\n{failed.id},failed,,no such account,\n"
    scope: dict[str, Any] = {"merchant_id": own, "batch_id": batch.id, "actor_id": office.checker, "now": NOW}
    file = parse(f"payout_id,status,external_id,reason,paid_at\n{rows}".encode())
    for _ in range(2):
        await results.import_results(session, **scope, file=file)
        assert await standing(session, own) == (2_000 - paid.amount_minor, 0, paid.amount_minor)


@pytest.mark.parametrize(("bearer", "cost"), [("merchant", 720), ("payee", 700)])
async def test_the_fee_is_put_aside_and_spent_whoever_bears_it(
    prepaid: MerchantFixture, office: Office, bearer: FeeBearer, cost: int
) -> None:
    own, session = office.merchant_id, office.session
    await office.agree(Terms(fee_minor=20, fee_bearer=bearer))
    await make_payable(session, own, 700)
    await top_up(session, own, cost - 1)
    with pytest.raises(Conflict, match="funds_insufficient"):
        async with session.begin_nested():
            await office.build()
    await top_up(session, own, 1)
    batch = await office.build()
    await office.approve(batch)
    assert await standing(session, own) == (0, cost, 0)
    await sending.send(session, merchant_id=own, batch_id=batch.id, actor_id=office.checker, livemode=False, now=NOW)
    (payout,) = await queries.payouts_of_batch(session, merchant_id=own, batch_id=batch.id)
    payout.status = "paid"
    await session.flush()
    await outcomes.settle_payout(session, batch=batch, payout=payout, now=NOW)
    assert await standing(session, own) == (0, 0, cost)
    assert await sum_of_entries(session, own, "payout_fees") == 20


async def test_a_failed_payout_costs_no_fee(prepaid: MerchantFixture, office: Office) -> None:
    own, session = office.merchant_id, office.session
    await office.agree(Terms(fee_minor=20))
    await make_payable(session, own, 700)
    await top_up(session, own, 800)
    batch = await office.exported()
    (payout,) = await queries.payouts_of_batch(session, merchant_id=own, batch_id=batch.id)
    payout.status = "failed"
    await session.flush()
    await outcomes.settle_payout(session, batch=batch, payout=payout, now=NOW)
    assert await standing(session, own) == (800, 0, 0)
    assert await sum_of_entries(session, own, "payout_fees") == 0


async def test_a_fee_that_raises_a_batch_above_the_funds_is_named(prepaid: MerchantFixture, office: Office) -> None:
    own, session = office.merchant_id, office.session
    await office.agree(Terms(fee_minor=20))
    await make_payable(session, own, 700)
    await top_up(session, own, 720)
    batch = await office.build()
    await funds.reserve(session, merchant_id=own, currency="CNY", amounts={ids.new("pay"): 1}, occurred_at=NOW)
    stuck = await checkup.examine(session, merchant_id=own, now=clock.utcnow())
    assert {("batch above the funds", batch.id)} <= {(one.check, one.subject_id) for one in stuck}


async def test_a_rail_that_tells_of_one_payout_moves_only_that_ones_funds(
    prepaid: MerchantFixture, office: Office
) -> None:
    own, session = office.merchant_id, office.session
    await top_up(session, own, 2_000)
    for amount in (500, 700):
        await make_payable(session, own, amount)
    batch = await office.build()
    await office.approve(batch)
    await sending.send(session, merchant_id=own, batch_id=batch.id, actor_id=office.checker, livemode=False, now=NOW)
    first, second = await queries.payouts_of_batch(session, merchant_id=own, batch_id=batch.id)
    for payout, status, expected in (
        (first, "failed", (2_000 - second.amount_minor, second.amount_minor, 0)),
        (second, "paid", (2_000 - second.amount_minor, 0, second.amount_minor)),
    ):
        payout.status = status
        await session.flush()
        await outcomes.settle_payout(session, batch=batch, payout=payout, now=NOW)
        assert await standing(session, own) == expected


async def test_cancelled_before_it_left_a_batch_gives_its_funds_back(prepaid: MerchantFixture, office: Office) -> None:
    own, session = office.merchant_id, office.session
    await top_up(session, own, 2_000)
    asker = await make_payable(session, own, 500)
    await make_payable(session, own, 700)
    asked = await withdrawals.request(session, merchant_id=own, member_id=asker.member_id, now=NOW)
    batch = await office.build()
    await office.approve(batch)
    await withdrawals.cancel(session, merchant_id=own, withdrawal_id=asked.id, now=NOW)
    assert await standing(session, own) == (1_300, 700, 0)
    await office.cancel(batch)
    assert await standing(session, own) == (2_000, 0, 0)


async def test_funds_that_are_put_aside_for_nothing_are_named(prepaid: MerchantFixture, office: Office) -> None:
    own, session = office.merchant_id, office.session
    await top_up(session, own, 2_000)
    await make_payable(session, own, 500)
    await office.exported()
    lost: dict[str, Any] = {"amounts": {ids.new("pay"): 300}, "currency": "CNY", "occurred_at": NOW}
    await funds.reserve(session, merchant_id=own, **lost)
    (found,) = (await reconciliation.reconcile(session, merchant_id=own)).differences
    assert (found.subject_id, found.expected, found.found) == (own, 500, 800)
    assert "put aside" in found.check


async def test_a_merchant_that_pays_from_accounts_of_its_own_is_not_limited(office: Office) -> None:
    own, session = office.merchant_id, office.session
    await make_payable(session, own, 700)
    assert (await service.preview(session, merchant_id=own)).available_minor is None
    batch = await office.exported()
    (payout,) = await queries.payouts_of_batch(session, merchant_id=own, batch_id=batch.id)
    payout.status = "paid"
    await session.flush()
    await outcomes.settle_payout(session, batch=batch, payout=payout, now=NOW)
    assert await standing(session, own) == (0, 0, 0)


async def test_what_was_approved_before_the_merchant_paid_ahead_takes_nothing_of_its_funds(
    office: Office, resources: Resources, merchant: MerchantFixture
) -> None:
    own, session = office.merchant_id, office.session
    await make_payable(session, own, 700)
    await top_up(session, own, 1_000)
    batch = await office.exported()
    async with resources.db.system() as system:
        await system.execute(update(Merchant).where(Merchant.id == own).values(funding="prepaid"))
    (payout,) = await queries.payouts_of_batch(session, merchant_id=own, batch_id=batch.id)
    payout.status = "paid"
    await session.flush()
    await outcomes.settle_payout(session, batch=batch, payout=payout, now=NOW)
    assert await standing(session, own) == (1_000, 0, 0)


async def test_of_two_batches_approved_at_once_only_what_is_covered_passes(
    prepaid: MerchantFixture, resources: Resources
) -> None:
    own = prepaid.test_id
    async with resources.db.tenant(own) as session:
        await top_up(session, own, 1_000)
        maker, checker = await make_user(session, own, "operator"), await make_user(session, own)
        batches: list[PayoutBatch] = []
        for _ in range(2):
            campaign = await make_campaign(session, own)
            await make_payable(session, own, 700, campaign=campaign)
            who: dict[str, Any] = {"merchant_id": own, "actor_id": maker, "now": NOW}
            batches.append((await service.build(session, **who, choice=Choice(campaign.id))).batch)

    async def approve(batch: PayoutBatch) -> str:
        try:
            async with resources.db.tenant(own) as session:
                done = await service.approve(session, merchant_id=own, batch_id=batch.id, actor_id=checker, now=NOW)
        except Conflict as refused:
            return refused.code
        return done.status

    assert sorted(await asyncio.gather(*(approve(batch) for batch in batches))) == ["approved", "funds_insufficient"]
    async with resources.db.tenant(own) as session:
        assert await standing(session, own) == (300, 700, 0)
