"""What an order must show in the books, and how what does not is named."""

from __future__ import annotations

from typing import Any

import pytest
from asyncpg import CheckViolationError
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit import clock
from app.ledger import service
from app.ledger.rules import Posting, cleared
from app.ledger.service import Leg
from app.models import Order
from tests.factories import MerchantFixture
from tests.factories.money import move
from tests.factories.shops import make_shop
from tests.ledger.test_verify import differences, earn, make_order

HOLD, LEGS = "merchant_accounts_hold_what_orders_brought", ["order_has_its_legs"] * 2


async def post(session: AsyncSession, merchant_id: str, *postings: Posting) -> None:
    at: dict[str, Any] = {"merchant_id": merchant_id, "occurred_at": clock.utcnow(), "currency": "CNY"}
    await service.post_all(session, **at, postings=postings)


async def test_an_order_that_the_books_do_not_know_is_named_with_each_leg(
    tenant: AsyncSession, merchant: MerchantFixture
) -> None:
    order = await make_order(tenant, await make_shop(tenant, merchant.test_id))
    assert await differences(tenant, merchant.test_id) == [
        ("order_has_its_legs", f"{order.id} order_paid", 5_900, 0),
        ("order_has_its_legs", f"{order.id} platform_fee", -59, 0),
        ("order_has_its_legs", f"{order.id} proceeds", -5_841, 0),
        (HOLD, f"{merchant.test_id} merchant_proceeds", 5_841, 0),
        (HOLD, f"{merchant.test_id} merchant_sales", -5_900, 0),
        (HOLD, f"{merchant.test_id} platform_fee", 59, 0),
    ]


async def test_the_one_leg_that_is_missing_is_named(tenant: AsyncSession, merchant: MerchantFixture) -> None:
    order = await make_order(tenant, await make_shop(tenant, merchant.test_id))
    paid = cleared(order.id, "order_paid", order.id, [Leg("merchant_sales", None, -5_900)])
    rest = cleared(order.id, "order_proceeds", order.id, [Leg("merchant_proceeds", None, 5_841)])
    await post(tenant, merchant.test_id, paid, rest)
    assert await differences(tenant, merchant.test_id) == [
        ("order_is_shared_out", f"{order.id} order_clearing", 0, 59),
        ("order_has_its_legs", f"{order.id} platform_fee", -59, 0),
        (HOLD, f"{merchant.test_id} platform_fee", 59, 0),
    ]


async def test_no_order_shares_out_more_than_it_brought_in(tenant: AsyncSession, merchant: MerchantFixture) -> None:
    order = await make_order(tenant, await make_shop(tenant, merchant.test_id))
    rest = cleared(order.id, "order_proceeds", order.id, [Leg("merchant_proceeds", None, 1)])
    with pytest.raises(CheckViolationError, match="only_payable_is_a_debt"):
        await post(tenant, merchant.test_id, rest)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"platform_fee_minor": 60}, [*LEGS, "platform_fee_is_its_share_of_the_order", HOLD, HOLD]),
        ({"platform_fee_refunded_minor": 1}, [*LEGS, "platform_fee_comes_back_with_refunds", HOLD, HOLD]),
        (
            {"refunded_minor": 100, "status": "partly_refunded"},
            [*LEGS, "platform_fee_comes_back_with_refunds", "refunds_add_up", HOLD, HOLD],
        ),
    ],
    ids=["fee", "fee given back", "refund"],
)
async def test_an_order_that_tells_another_story_is_named(
    tenant: AsyncSession, merchant: MerchantFixture, change: dict[str, Any], named: list[str]
) -> None:
    commission = await earn(tenant, merchant.test_id)
    order = await tenant.get_one(Order, (merchant.test_id, commission.order_id))
    for name, value in change.items():
        setattr(order, name, value)
    await tenant.flush()
    assert [check for check, *_ in await differences(tenant, merchant.test_id)] == named


async def test_funds_that_went_below_nothing_are_named(tenant: AsyncSession, merchant: MerchantFixture) -> None:
    await move(tenant, merchant.test_id, Leg("merchant_funds", None, -5), Leg("merchant_funds_reserved", None, 5))
    ((check, subject, expected, found),) = await differences(tenant, merchant.test_id)
    assert (check, subject) == ("funds_are_not_overdrawn", f"{merchant.test_id} merchant_funds")
    assert (expected, found) == (0, -5)


async def test_a_leg_on_the_wrong_account_is_named(tenant: AsyncSession, merchant: MerchantFixture) -> None:
    order = await make_order(tenant, await make_shop(tenant, merchant.test_id))
    paid = cleared(order.id, "order_paid", order.id, [Leg("merchant_sales", None, -5_900)])
    fee = cleared(order.id, "platform_fee_charged", order.id, [Leg("merchant_proceeds", None, 59)])
    rest = cleared(order.id, "order_proceeds", order.id, [Leg("merchant_proceeds", None, 5_841)])
    await post(tenant, merchant.test_id, paid, fee, rest)
    assert await differences(tenant, merchant.test_id) == [
        (HOLD, f"{merchant.test_id} merchant_proceeds", 5_841, 5_900),
        (HOLD, f"{merchant.test_id} platform_fee", 59, 0),
    ]
