"""The house refunds a plan: what it brought is taken back, once, and its days that were used stay used."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from app.kit import clock, ids
from app.ledger import funds
from app.merchants import purchases
from app.models import AuditEntry, Campaign, Checkout, Order, Refund
from app.orders import refunds
from app.orders.rules import NewRefund
from app.resources import Resources
from app.worker import refunds as worker
from tests.merchants.conftest import House, Registered

DAY = timedelta(days=1)


async def refund(resources: Resources, checkout: Checkout, amount_minor: int) -> Refund:
    wanted = NewRefund(ids.new("ext"), amount_minor)
    async with resources.db.tenant(checkout.merchant_id) as session:
        own: dict[str, Any] = {"merchant_id": checkout.merchant_id, "order_id": checkout.id}
        made, _ = await refunds.refund_order(session, **own, refund=wanted, now=clock.utcnow())
    while await worker.pay_back(resources):
        pass
    return made


async def shown(merchant: Registered, *, live: bool = True) -> tuple[str, int, int]:
    """Plan, days left of it, days left of the membership."""
    found = (await merchant.api(live=live).get("/v1/merchant")).json()
    now = clock.utcnow() if live else await _now(merchant)
    ends = (found["plan_ends_at"], found["membership"]["ends_at"])
    days = [round((datetime.fromisoformat(end) - now) / DAY) if end else 0 for end in ends]
    return found["plan"], days[0], days[1]


async def _now(merchant: Registered) -> datetime:
    moved = await merchant.test.post("/v1/test-clock", json={"advance_seconds": 1})
    return datetime.fromisoformat(moved.json()["now"])


async def test_a_refunded_plan_ends_with_the_days_it_brought(house: House, resources: Resources) -> None:
    merchant = await house.register()
    checkout = await house.buy(merchant.live_id, "pro_year")
    assert await shown(merchant) == ("pro_year", 365, 395)
    before = await _funds(resources, checkout)
    await refund(resources, checkout, 99_000)
    assert (await shown(merchant), await shown(merchant, live=False)) == (("free", 0, 30), ("free", 0, 30))
    assert before - await _funds(resources, checkout) == 99_000
    async with resources.db.system() as session:
        told = select(AuditEntry.merchant_id).where(
            AuditEntry.subject_id == checkout.id, AuditEntry.action == "plan.refunded"
        )
        assert set(await session.scalars(told)) == {merchant.live_id, checkout.merchant_id}


async def _funds(resources: Resources, checkout: Checkout) -> int:
    async with resources.db.system() as session:
        return (await funds.available(session, merchant_id=checkout.merchant_id, currency="CNY")).funds_minor


async def test_a_part_given_back_takes_no_days(house: House, resources: Resources) -> None:
    merchant = await house.register()
    checkout = await house.buy(merchant.live_id)
    await refund(resources, checkout, 9_899)
    assert await shown(merchant) == ("pro_month", 30, 60)
    await refund(resources, checkout, 1)
    assert await shown(merchant) == ("free", 0, 30)


async def test_days_that_were_used_stay_used_and_others_stay(house: House, resources: Resources) -> None:
    merchant = await house.register()
    first = await house.buy(merchant.test_id)
    await merchant.test.post("/v1/test-clock", json={"advance_seconds": 10 * clock.DAY_SECONDS})
    await house.buy(merchant.test_id, "pro_year")
    assert await shown(merchant, live=False) == ("pro_year", 365, 20 + 365 + 30)
    await refund(resources, first, 9_900)
    # Cut are the 30 days that the plan brought, as long as paid ones are left that are not used.
    assert await shown(merchant, live=False) == ("pro_year", 365, 355 + 30)


async def test_told_many_times_at_once_it_is_taken_back_once(house: House, resources: Resources) -> None:
    merchant = await house.register()
    checkout = await house.buy(merchant.live_id)
    await house.buy(merchant.live_id)
    async with resources.db.tenant(checkout.merchant_id) as session:
        own: dict[str, Any] = {"merchant_id": checkout.merchant_id, "order_id": checkout.id}
        await refunds.refund_order(session, **own, refund=NewRefund(ids.new("ext"), 9_900), now=clock.utcnow())

    async def take_back() -> bool:
        async with resources.db.system() as session:
            return await purchases.take_back(session, **own, now=clock.utcnow())

    assert sorted(await asyncio.gather(*(take_back() for _ in range(4)))) == [False, False, False, True]
    assert await shown(merchant) == ("pro_month", 30, 60)


async def test_what_was_never_refunded_is_not_taken_back(house: House, resources: Resources) -> None:
    merchant = await house.register()
    checkout = await house.buy(merchant.live_id)
    async with resources.db.system() as session:
        own: dict[str, Any] = {"merchant_id": checkout.merchant_id, "order_id": checkout.id}
        assert await purchases.take_back(session, **own, now=clock.utcnow()) is False
    assert await shown(merchant) == ("pro_month", 30, 60)


@pytest.mark.parametrize("status", ["ended", "settled"])
async def test_a_plan_that_is_paid_when_the_houses_campaign_is_over_can_be_refunded(
    house: House, resources: Resources, status: str
) -> None:
    """It is an order of the house all the same, by which nobody earns any more."""
    inviter = await house.register()
    merchant = await house.register(invite_code=inviter.invite_code)
    checkout = await house.open_plan(merchant.live_id)
    campaign = update(Campaign).where(Campaign.id == checkout.campaign_id)
    async with house.paying_inviters():
        async with resources.db.system() as session:
            await session.execute(campaign.values(status=status, ended_at=clock.utcnow() - DAY))
        try:
            assert await house.pay(checkout)
        finally:
            async with resources.db.system() as session:
                await session.execute(campaign.values(status="active", ended_at=None))
    assert await shown(merchant) == ("pro_month", 30, 60)
    async with resources.db.system() as session:
        order = await session.get_one(Order, (checkout.merchant_id, checkout.id))
        assert order.inviter_id is None
        assert [(part["amount_minor"], part["reason"]) for part in order.explanation] == [(0, "campaign_ended")]
    await refund(resources, checkout, 9_900)
    assert await shown(merchant) == ("free", 0, 30)


async def test_a_plan_is_none_of_the_pieces_that_the_house_sells(house: House, resources: Resources) -> None:
    merchant = await house.register()
    checkout = await house.open_plan(merchant.live_id)
    campaign = update(Campaign).where(Campaign.id == checkout.campaign_id)
    left = select(Campaign.stock).where(Campaign.id == checkout.campaign_id)
    async with resources.db.system() as session:
        await session.execute(campaign.values(stock=0))
    try:
        assert await house.pay(checkout)
        await refund(resources, checkout, 9_900)
        async with resources.db.system() as session:
            assert await session.scalar(left) == 0
    finally:
        async with resources.db.system() as session:
            await session.execute(campaign.values(stock=None))
    assert await shown(merchant) == ("free", 0, 30)
