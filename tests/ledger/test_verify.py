from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from app.embedded import Stack
from app.kit import clock, ids
from app.ledger import service
from app.ledger.service import Leg
from app.ledger.verify import Difference, verify
from app.models import Commission, Order, OrderLine
from app.orders import clearing
from app.resources import Resources
from tests.factories import MerchantFixture
from tests.factories.money import earned, move
from tests.factories.shops import Shop, make_shop


async def make_order(session: AsyncSession, shop: Shop) -> Order:
    """Of 59.00 yuan, at a fee of 1 %, that the books know nothing of."""
    order = Order(
        merchant_id=shop.merchant_id,
        campaign_id=shop.campaign.id,
        currency="CNY",
        rule_version=1,
        id=ids.new("ord"),
        participant_id=shop.buyer.id,
        member_id=shop.buyer.member_id,
        external_order_id=ids.new("ext"),
        content_hash=b"",
        amount_minor=5_900,
        refunded_minor=0,
        platform_fee_bps=100,
        platform_fee_minor=59,
        paid_at=clock.utcnow(),
        rule={},
        explanation=[],
    )
    session.add(order)
    await session.flush()
    return order


async def earn(session: AsyncSession, merchant_id: str, amount_minor: int = 1_770) -> Commission:
    """One held commission with the money behind it."""
    shop = await make_shop(session, merchant_id)
    order = await make_order(session, shop)
    line = OrderLine(
        merchant_id=merchant_id, id=ids.new("lin"), order_id=order.id, external_line_id="whole", amount_minor=5_900
    )
    session.add(line)
    await session.flush()
    commission = Commission(
        merchant_id=merchant_id,
        campaign_id=shop.campaign.id,
        currency="CNY",
        rule_version=1,
        id=ids.new("com"),
        order_id=order.id,
        line_id=line.id,
        level=1,
        beneficiary_id=shop.first.id,
        member_id=shop.first.member_id,
        amount_minor=amount_minor,
        base_minor=5_900,
        status="held",
    )
    session.add(commission)
    await session.flush()
    legs = [Leg("member_held", commission.member_id, amount_minor)]
    await clearing.sold(session, order=order, earned=legs, now=clock.utcnow())
    return commission


async def differences(session: AsyncSession, merchant_id: str) -> list[tuple[str, str, int, int]]:
    report = await verify(session, merchant_id=merchant_id)
    assert {found.merchant_id for found in report.differences} <= {merchant_id}
    assert report.clean == (not report.differences)
    return [(found.check, found.subject, found.expected_minor, found.found_minor) for found in report.differences]


async def test_an_honest_ledger_is_clean(tenant: AsyncSession, merchant: MerchantFixture) -> None:
    await earn(tenant, merchant.test_id)
    report = await verify(tenant, merchant_id=merchant.test_id)
    assert report.clean
    assert (report.orders, report.commissions) == (1, 1)
    assert (report.transactions, report.entries, report.accounts) == (4, 8, 9)


async def test_money_without_a_commission_is_named(tenant: AsyncSession, merchant: MerchantFixture) -> None:
    member = ids.new("mbr")
    await move(tenant, merchant.test_id, *earned(member, 100))
    assert await differences(tenant, merchant.test_id) == [
        ("bucket_holds_the_commissions_of_its_status", f"{member} member_held", 0, 100)
    ]


async def test_a_commission_whose_status_ran_ahead_is_named(tenant: AsyncSession, merchant: MerchantFixture) -> None:
    commission = await earn(tenant, merchant.test_id)
    commission.status = "payable"
    await tenant.flush()
    check, member = "bucket_holds_the_commissions_of_its_status", commission.member_id
    assert await differences(tenant, merchant.test_id) == [
        (check, f"{member} member_held", 0, 1_770),
        (check, f"{member} member_payable", 1_770, 0),
    ]


async def test_money_that_left_without_a_paid_commission_is_named(
    tenant: AsyncSession, merchant: MerchantFixture
) -> None:
    commission = await earn(tenant, merchant.test_id)
    commission.status = "reversed"
    await tenant.flush()
    out = Leg("member_held", commission.member_id, -1_770), Leg("member_paid", commission.member_id, 1_770)
    await move(tenant, merchant.test_id, *out)
    assert await differences(tenant, merchant.test_id) == [
        ("bucket_holds_the_commissions_of_its_status", f"{commission.member_id} member_paid", 0, 1_770),
        ("reversed_commission_nets_to_zero", commission.id, 0, 1_770),
    ]


@pytest.fixture
async def tampering(stack: Stack, merchant: MerchantFixture) -> AsyncIterator[AsyncSession]:
    """A transaction of the tables' owner, who alone can make the books lie; rolled back."""
    engine = create_async_engine(stack.owner_url.replace("postgresql://", "postgresql+asyncpg://"))
    async with AsyncSession(engine, expire_on_commit=False) as session:
        await earn(session, merchant.test_id)
        yield session
        await session.rollback()
    await engine.dispose()


async def test_a_forged_balance_is_named(tampering: AsyncSession, merchant: MerchantFixture) -> None:
    forged = "UPDATE ledger_accounts SET balance_minor = 1771 WHERE kind = 'member_held' AND merchant_id = :m"
    await tampering.execute(text(forged), {"m": ids.decode("mch", merchant.test_id)})
    assert [found[0] for found in await differences(tampering, merchant.test_id)] == [
        "balance_is_the_sum_of_entries",
        "bucket_holds_the_commissions_of_its_status",
    ]


async def test_a_forged_entry_is_named(tampering: AsyncSession, merchant: MerchantFixture) -> None:
    scope = {"m": ids.decode("mch", merchant.test_id)}
    forged = """UPDATE ledger_entries e SET amount_minor = e.amount_minor + 1 FROM ledger_accounts a
                WHERE e.merchant_id = :m AND a.id = e.account_id AND a.kind = 'member_held'"""
    await tampering.execute(text(forged), scope)
    found = await differences(tampering, merchant.test_id)
    assert [(check, expected, amount) for check, _, expected, amount in found] == [
        ("transaction_sums_to_zero", 0, 1),
        ("balance_is_the_sum_of_entries", 1_771, 1_770),
    ]


async def test_a_refund_that_took_too_much_is_named(tampering: AsyncSession, merchant: MerchantFixture) -> None:
    row = (await tampering.execute(text("SELECT * FROM commissions ORDER BY id DESC LIMIT 1"))).mappings().one()
    negative = {**row, "id": ids.decode("com", ids.new("com")), "reverses_id": row["id"], "amount_minor": -2_000}
    columns = ", ".join(negative)
    values = ", ".join(f":{name}" for name in negative)
    await tampering.execute(text(f"INSERT INTO commissions ({columns}) VALUES ({values})"), negative)
    found = await differences(tampering, merchant.test_id)
    assert ("refunds_take_back_no_more_than_was_earned", ids.encode("com", row["id"]), 0, -230) in found


async def test_all_merchants_are_looked_at_as_system(resources: Resources, merchant: MerchantFixture) -> None:
    member = ids.new("mbr")
    async with resources.db.tenant(merchant.test_id) as session:
        await service.lock(session, merchant_id=merchant.test_id, currency="CNY", member_ids=[member])
        await move(session, merchant.test_id, *earned(member, 3))
    async with resources.db.system() as session:
        report = await verify(session, merchant_id=None)
    mine = [found for found in report.differences if found.merchant_id == merchant.test_id]
    check = "bucket_holds_the_commissions_of_its_status"
    assert mine == [Difference(check, merchant.test_id, f"{member} member_held", "CNY", 0, 3)]
