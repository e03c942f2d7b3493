"""An order's money through its own account: every leg there, both ways, to the fen."""

from __future__ import annotations

from collections import Counter
from typing import Any

import httpx
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text

from app.kit import clock, ids
from app.models import LedgerAccount, LedgerEntry, LedgerTransaction, Order, PlanPurchase
from app.orders import clearing
from app.resources import Resources
from tests.factories import MerchantFixture
from tests.factories.money import pay_out, sum_of_entries
from tests.factories.shops import Shop, Till, open_shop


async def clearing_legs(till: Till, order_id: str) -> list[tuple[str, int]]:
    """What passed the order's account, in the order of the books."""
    statement = (
        select(LedgerTransaction.kind, LedgerEntry.amount_minor)
        .join(LedgerEntry, LedgerEntry.transaction_id == LedgerTransaction.id)
        .join(LedgerAccount, LedgerAccount.id == LedgerEntry.account_id)
        .where(LedgerAccount.order_id == order_id, LedgerAccount.merchant_id == till.shop.merchant_id)
        .order_by(LedgerEntry.number)
    )
    async with till.resources.db.tenant(till.shop.merchant_id) as session:
        return [(kind, amount) for kind, amount in await session.execute(statement)]


async def sums(till: Till, *kinds: str) -> list[int]:
    async with till.resources.db.tenant(till.shop.merchant_id) as session:
        return [await sum_of_entries(session, till.shop.merchant_id, kind) for kind in kinds]


async def test_an_order_is_shared_out_to_promoters_platform_and_merchant(till: Till) -> None:
    order = await till.sell()
    assert (order["platform_fee_bps"], order["platform_fee_minor"]) == (100, 59)
    assert await clearing_legs(till, order["id"]) == [
        ("order_paid", 5_900),
        ("commission_earned", -2_360),
        ("platform_fee_charged", -59),
        ("order_proceeds", -3_481),
    ]
    assert await sums(till, "merchant_sales", "platform_fee", "merchant_proceeds") == [-5_900, 59, 3_481]
    await till.check_books()


async def test_an_order_without_promoters_leaves_the_rest_to_the_merchant(till: Till, shop: Shop) -> None:
    order = await till.sell(participant_id=shop.second.id)
    assert await clearing_legs(till, order["id"]) == [
        ("order_paid", 5_900),
        ("platform_fee_charged", -59),
        ("order_proceeds", -5_841),
    ]
    await till.check_books()


async def test_an_order_of_one_fen_has_no_fee_and_no_leg_for_one(till: Till) -> None:
    order = await till.sell(amount_minor=1)
    assert await clearing_legs(till, order["id"]) == [("order_paid", 1), ("order_proceeds", -1)]
    await till.check_books()


async def test_thirds_give_back_exactly_the_fee(till: Till) -> None:
    order = await till.sell(amount_minor=1_000)
    fees = []
    for part in (333, 333, 334):
        await till.refunded(order["id"], part)
        await till.check_books()
        fees.append((await till.get(f"/v1/orders/{order['id']}"))["platform_fee_refunded_minor"])
    assert fees == [3, 6, 10]
    assert await sums(till, "merchant_sales", "platform_fee", "merchant_proceeds") == [0, 0, 0]
    assert sum(amount for _, amount in await clearing_legs(till, order["id"])) == 0


async def test_a_refund_after_payout_comes_out_of_what_promoters_owe(till: Till, shop: Shop) -> None:
    order = await till.sell()
    await till.wait_days(8)
    assert await pay_out(till.resources, shop.merchant_id, shop.first.member_id) == 1_770
    refund = await till.refunded(order["id"], 2_950)
    assert (await clearing_legs(till, order["id"]))[4:] == [
        ("commission_reversed", 1_180),
        ("platform_fee_refunded", 29),
        ("proceeds_reversed", 1_741),
        ("order_refunded", -2_950),
    ]
    assert refund["status"] == "applied"
    assert await till.balance(shop.first) == (0, -885)
    await till.check_books()


async def test_the_fee_is_the_plans_when_the_order_was_recorded(
    till: Till, resources: Resources, merchant: MerchantFixture
) -> None:
    before = await till.sell()
    bought: dict[str, Any] = {"plan": "pro_year", "platform_fee_bps": 40, "days": 365, "amount_minor": 1}
    async with resources.db.system() as session:
        session.add(
            PlanPurchase(
                **bought, merchant_id=merchant.test_id, id=ids.new("ord"), currency="CNY", bought_at=clock.utcnow()
            )
        )
    after = await till.sell()
    again = await till.get(f"/v1/orders/{before['id']}")
    assert [(one["platform_fee_bps"], one["platform_fee_minor"]) for one in (again, after)] == [(100, 59), (40, 23)]
    await till.check_books()


async def test_the_house_owes_itself_nothing(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    async with resources.db.system() as session:
        own = {"id": ids.decode("mch", merchant.test_id)}
        elsewhere = "UPDATE merchants SET is_house = false WHERE is_house AND NOT livemode RETURNING id"
        before = (await session.execute(text(elsewhere))).scalar()
        await session.execute(text("UPDATE merchants SET is_house = true WHERE id = :id"), own)
    try:
        till = Till(api, resources, await open_shop(resources, merchant))
        assert (await till.sell())["platform_fee_minor"] == 0
        await till.check_books()
    finally:
        async with resources.db.system() as session:
            await session.execute(text("UPDATE merchants SET is_house = false WHERE id = :id"), own)
            back = text("UPDATE merchants SET is_house = true WHERE id = :id")
            await session.execute(back, {"id": before})


@given(
    amount=st.integers(1, 10**12),
    fee_bps=st.integers(0, 10_000),
    cuts=st.lists(st.floats(0, 1, exclude_min=True), max_size=6),
)
def test_any_refunds_give_back_the_fee_and_never_more(amount: int, fee_bps: int, cuts: list[float]) -> None:
    fee = amount * fee_bps // 10_000
    order = Order(amount_minor=amount, refunded_minor=0, platform_fee_minor=fee, platform_fee_refunded_minor=0)
    given_back: Counter[str] = Counter()
    for cut in [*cuts, 1.0]:
        left = amount - order.refunded_minor
        order.refunded_minor += left if cut == 1.0 else int(left * cut)
        back = clearing.take_fee_back(order)
        assert back >= 0
        given_back["fee"] += back
        assert given_back["fee"] <= fee
    assert given_back["fee"] == fee
