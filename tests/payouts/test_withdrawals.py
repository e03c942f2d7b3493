from __future__ import annotations

import asyncio
import os

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.session import Database
from app.kit import ids
from app.kit.errors import Conflict, InvitreeError, NotFound
from app.ledger import service as ledger
from app.ledger.service import Leg
from app.models import Commission, Participant, Withdrawal
from app.payouts import queries, reconciliation, service, withdrawals
from app.resources import Resources
from tests.factories import MerchantFixture
from tests.factories.locks import until_blocked
from tests.factories.money import move
from tests.factories.payables import (
    NOW,
    buckets,
    make_commission,
    make_debt,
    make_payable,
    make_payee,
    make_user,
    statuses,
)


async def withdraw(session: AsyncSession, promoter: Participant, payee: str | None = None) -> Withdrawal:
    return await withdrawals.request(
        session,
        merchant_id=promoter.merchant_id,
        member_id=promoter.member_id,
        payee_account_id=payee,
        now=NOW,
    )


async def test_a_withdrawal_takes_all_that_is_payable(tenant: AsyncSession, merchant: MerchantFixture) -> None:
    promoter = await make_payable(tenant, merchant.test_id, 1_770, 590)
    held = await make_commission(tenant, promoter, 400, status="held")
    taken = await withdraw(tenant, promoter)
    assert (taken.amount_minor, taken.status, taken.currency) == (2_360, "requested", "CNY")
    assert await buckets(tenant, promoter) == (0, 2_360, 0)
    assert await statuses(tenant, promoter) == ["in_payout", "in_payout", "held"]
    assert held.withdrawal_id is None


async def test_negative_rows_are_taken_with_the_rest(tenant: AsyncSession, merchant: MerchantFixture) -> None:
    promoter = await make_payable(tenant, merchant.test_id, 1_000)
    await make_debt(tenant, promoter, 300)
    assert (await withdraw(tenant, promoter)).amount_minor == 700


@pytest.mark.parametrize(
    ("amounts", "debt", "code"),
    [
        ((), 0, "nothing_payable"),
        ((99,), 0, "below_minimum"),
        ((500,), 500, "nothing_payable"),
        ((500,), 900, "nothing_payable"),
        ((), 900, "nothing_payable"),
    ],
)
async def test_too_little_pays_nothing(
    tenant: AsyncSession, merchant: MerchantFixture, amounts: tuple[int, ...], debt: int, code: str
) -> None:
    promoter = await make_payable(tenant, merchant.test_id, *amounts)
    if debt:
        await make_debt(tenant, promoter, debt)
    before = await statuses(tenant, promoter)
    with pytest.raises(Conflict) as caught:
        await withdraw(tenant, promoter)
    assert caught.value.code == code
    assert await statuses(tenant, promoter) == before


async def test_one_yuan_is_enough(tenant: AsyncSession, merchant: MerchantFixture) -> None:
    promoter = await make_payable(tenant, merchant.test_id, 100)
    assert (await withdraw(tenant, promoter)).amount_minor == 100


async def test_one_withdrawal_at_a_time(tenant: AsyncSession, merchant: MerchantFixture) -> None:
    promoter = await make_payable(tenant, merchant.test_id, 500)
    await withdraw(tenant, promoter)
    await make_commission(tenant, promoter, 700)
    with pytest.raises(Conflict, match="withdrawal_open"):
        await withdraw(tenant, promoter)
    assert await buckets(tenant, promoter) == (700, 500, 0)


async def test_without_a_payee_account_there_is_nowhere_to_pay(tenant: AsyncSession, merchant: MerchantFixture) -> None:
    promoter = await make_payable(tenant, merchant.test_id, 500, payee=False)
    with pytest.raises(Conflict, match="payee_account_missing"):
        await withdraw(tenant, promoter)


async def test_the_account_added_last_is_paid_unless_one_is_named(
    tenant: AsyncSession, merchant: MerchantFixture
) -> None:
    promoter = await make_payable(tenant, merchant.test_id, 500, account="6222020000000000001")
    newer = await make_payee(tenant, merchant.test_id, promoter.member_id, account="6222020000000000002")
    taken = await withdraw(tenant, promoter)
    assert taken.payee_account_id == newer.id
    await withdrawals.cancel(tenant, merchant_id=merchant.test_id, withdrawal_id=taken.id, now=NOW)
    older = await make_payee(tenant, merchant.test_id, promoter.member_id, account="6222020000000000001")
    assert (await withdraw(tenant, promoter, older.id)).payee_account_id == older.id


async def test_another_members_account_is_not_found(tenant: AsyncSession, merchant: MerchantFixture) -> None:
    mine, other = await make_payable(tenant, merchant.test_id, 500), await make_payable(tenant, merchant.test_id, 500)
    theirs = await make_payee(tenant, merchant.test_id, other.member_id, account="6222029999999999999")
    with pytest.raises(NotFound, match="payee_account_not_found"):
        await withdraw(tenant, mine, theirs.id)
    with pytest.raises(NotFound, match="member_not_found"):
        await withdrawals.request(tenant, merchant_id=merchant.test_id, member_id=ids.new("mbr"), now=NOW)


async def test_cancelled_money_is_payable_again(tenant: AsyncSession, merchant: MerchantFixture) -> None:
    promoter = await make_payable(tenant, merchant.test_id, 500, 300)
    taken = await withdraw(tenant, promoter)
    for _ in range(2):
        cancelled = await withdrawals.cancel(tenant, merchant_id=merchant.test_id, withdrawal_id=taken.id, now=NOW)
        assert cancelled.status == "cancelled"
    assert await buckets(tenant, promoter) == (800, 0, 0)
    assert await statuses(tenant, promoter) == ["payable", "payable"]
    assert (await withdraw(tenant, promoter)).amount_minor == 800


async def test_a_ledger_that_disagrees_stops_the_money(tenant: AsyncSession, merchant: MerchantFixture) -> None:
    promoter = await make_payable(tenant, merchant.test_id, 500)
    extra = Leg("member_payable", promoter.member_id, 1), Leg("merchant_commission", None, -1)
    await move(tenant, merchant.test_id, *extra)
    with pytest.raises(Conflict, match="ledger_disagrees"):
        await withdraw(tenant, promoter)


async def test_fifty_at_once_take_the_money_once(merchant: MerchantFixture, resources: Resources) -> None:
    async with resources.db.tenant(merchant.test_id) as session:
        promoter = await make_payable(session, merchant.test_id, 500, 700, 900)
    db = Database(os.environ["DATABASE_URL"], os.environ["DATABASE_SYSTEM_URL"], pool_size=25)

    async def attempt() -> str:
        try:
            async with db.tenant(merchant.test_id) as session:
                return (await withdraw(session, promoter)).status
        except InvitreeError as error:
            return error.code

    found = await asyncio.gather(*(attempt() for _ in range(50)))
    await db.close()
    assert sorted(found) == ["requested"] + ["withdrawal_open"] * 49
    async with resources.db.tenant(merchant.test_id) as session:
        assert await buckets(session, promoter) == (0, 2_100, 0)
        assert (await reconciliation.reconcile(session, merchant_id=merchant.test_id)).differences == []


async def test_a_refund_under_way_is_waited_for(merchant: MerchantFixture, resources: Resources) -> None:
    async with resources.db.tenant(merchant.test_id) as session:
        promoter = await make_payable(session, merchant.test_id, 1_000)
        (earned,) = (await session.scalars(select(Commission))).all()

    async def request() -> int:
        async with resources.db.tenant(merchant.test_id) as session:
            return (await withdraw(session, promoter)).amount_minor

    async with resources.db.tenant(merchant.test_id) as session:
        scope = {"merchant_id": merchant.test_id, "currency": "CNY"}
        await ledger.lock(session, **scope, member_ids=[promoter.member_id])
        waiting = asyncio.create_task(request())
        await until_blocked(resources, waiting)
        await make_commission(session, promoter, -300, reverses=earned)
    assert await waiting == 700


async def test_withdrawals_are_cancelled_while_their_batch_is_approved(
    merchant: MerchantFixture, resources: Resources
) -> None:
    own = merchant.test_id
    async with resources.db.tenant(own) as session:
        for _ in range(8):
            await make_payable(session, own, 500)
        maker, checker = [await make_user(session, own, "owner") for _ in range(2)]
        batch = (await service.build(session, merchant_id=own, actor_id=maker, now=NOW)).batch
        asked = (await session.scalars(select(Withdrawal.id).order_by(Withdrawal.id))).all()

    async def cancel(withdrawal_id: str) -> None:
        async with resources.db.tenant(own) as session:
            await withdrawals.cancel(session, merchant_id=own, withdrawal_id=withdrawal_id, now=NOW)

    async def approve() -> None:
        async with resources.db.tenant(own) as session:
            scope = {"merchant_id": own, "batch_id": batch.id, "actor_id": checker}
            await service.approve(session, **scope, now=NOW)

    await asyncio.gather(*map(cancel, asked[4:]), approve(), *map(cancel, asked[1:4]))
    async with resources.db.tenant(own) as session:
        left = await queries.get_batch(session, merchant_id=own, batch_id=batch.id)
        assert (left.status, left.payout_count, left.total_minor) == ("approved", 1, 500)
        assert (await reconciliation.reconcile(session, merchant_id=own)).differences == []


async def test_a_withdrawal_and_a_build_at_once_pay_once(merchant: MerchantFixture, resources: Resources) -> None:
    async with resources.db.tenant(merchant.test_id) as session:
        promoter = await make_payable(session, merchant.test_id, 500)
        finance = await make_user(session, merchant.test_id)

    async def request() -> None:
        async with resources.db.tenant(merchant.test_id) as session:
            await withdraw(session, promoter)

    async def build() -> None:
        async with resources.db.tenant(merchant.test_id) as session:
            await service.build(session, merchant_id=merchant.test_id, actor_id=finance, now=NOW)

    await asyncio.gather(request(), build(), request(), build(), return_exceptions=True)
    async with resources.db.tenant(merchant.test_id) as session:
        assert await buckets(session, promoter) == (0, 500, 0)
        assert (await reconciliation.reconcile(session, merchant_id=merchant.test_id)).differences == []


async def test_a_crash_on_the_way_leaves_nothing(merchant: MerchantFixture, resources: Resources) -> None:
    async with resources.db.tenant(merchant.test_id) as session:
        promoter = await make_payable(session, merchant.test_id, 500)

    async def die_halfway() -> None:
        async with resources.db.tenant(merchant.test_id) as session:
            await withdraw(session, promoter)
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        await die_halfway()
    async with resources.db.tenant(merchant.test_id) as session:
        assert await buckets(session, promoter) == (500, 0, 0)
        assert await statuses(session, promoter) == ["payable"]
