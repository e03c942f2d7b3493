"""A campaign that is over and owes nothing becomes settled, by the clock and one at a time."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from app.campaigns import settling
from app.campaigns.rules import LATE_ORDERS, settles_at
from app.kit import clock
from app.models import AuditEntry, Checkout, Commission, Merchant
from app.orders import refunds, service
from app.orders.rules import NewOrder, NewRefund
from app.resources import Resources
from app.worker.campaigns import settle_campaigns
from tests.factories import MerchantFixture, make_campaign
from tests.factories.locks import until_blocked
from tests.factories.shops import Shop, Till, open_shop

PAST = LATE_ORDERS.days + 1


@pytest.fixture
async def till(api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture) -> Till:
    return Till(api, resources, await open_shop(resources, merchant))


async def status_of(till: Till) -> str:
    return str((await till.get(f"/v1/campaigns/{till.shop.campaign.id}"))["status"])


async def end(till: Till) -> None:
    assert (await till.api.post(f"/v1/campaigns/{till.shop.campaign.id}/end")).json()["status"] == "ended"


async def everything_is(till: Till, status: str) -> None:
    """What stands to promoters, as payouts would have left it."""
    async with till.resources.db.tenant(till.shop.merchant_id) as session:
        await session.execute(update(Commission).values(status=status))


async def settle(till: Till, now: datetime | None = None) -> bool:
    own = {"merchant_id": till.shop.merchant_id, "campaign_id": till.shop.campaign.id}
    async with till.resources.db.tenant(till.shop.merchant_id) as session:
        return await settling.settle(session, **own, now=now or clock.utcnow() + timedelta(days=PAST))


def new_order(shop: Shop) -> NewOrder:
    body = shop.order()
    return NewOrder(**{**body, "paid_at": datetime.fromisoformat(body["paid_at"])})


async def test_a_campaign_without_orders_settles_once_none_may_come(till: Till) -> None:
    await till.wait_days(PAST)
    assert await status_of(till) == "active"
    await end(till)
    await till.wait_days(PAST - 2)
    assert await status_of(till) == "ended"
    await till.wait_days(2)
    assert await status_of(till) == "settled"
    async with till.resources.db.tenant(till.shop.merchant_id) as session:
        written = select(AuditEntry.actor, AuditEntry.action).where(AuditEntry.subject_id == till.shop.campaign.id)
        assert (await session.execute(written.order_by(AuditEntry.at.desc()))).first() == (
            "schedule",
            "campaign.settle",
        )


@pytest.mark.parametrize("status", ["pending", "held", "payable", "in_payout"])
async def test_it_waits_for_all_that_is_not_paid(till: Till, status: str) -> None:
    await till.sell()
    await end(till)
    await everything_is(till, status)
    assert not await settle(till)
    await everything_is(till, "paid")
    assert await settle(till)
    assert not await settle(till), "it is settled"


async def test_what_was_refunded_after_payout_is_still_to_be_made_up_for(till: Till) -> None:
    order = await till.sell()
    await end(till)
    await everything_is(till, "paid")
    await till.refunded(order["id"], 5_900)
    assert not await settle(till), "the negative rows are payable"


async def test_it_waits_for_the_longest_hold_and_for_who_is_paying(till: Till) -> None:
    now = clock.utcnow()
    assert settles_at(now, held_days=7) == now + LATE_ORDERS
    assert settles_at(now, held_days=30) == now + timedelta(days=30)
    path = f"/v1/campaigns/{till.shop.campaign.id}"
    rule = {"levels": [{"level": 1, "rate_bps": 3_000}], "refund_window_days": 30}
    assert (await till.api.patch(path, json={"commission": rule})).is_success
    assert (await till.api.patch(path, json={"commission": {**rule, "refund_window_days": 0}})).is_success
    wish = {"campaign_id": till.shop.campaign.id, "participant_id": till.shop.buyer.id}
    checkout = (await till.post("/v1/checkouts", wish)).json()
    await end(till)
    assert not await settle(till)
    later = now + timedelta(days=31)
    assert not await settle(till, later)
    async with till.resources.db.tenant(till.shop.merchant_id) as session:
        await session.execute(update(Checkout).where(Checkout.id == checkout["id"]).values(status="expired"))
    assert await settle(till, later)


async def test_what_a_settled_campaign_takes(till: Till) -> None:
    order = await till.sell()
    await everything_is(till, "paid")
    await end(till)
    paid_before = clock.utcnow() - timedelta(minutes=1)
    await till.wait_days(PAST)
    path = f"/v1/campaigns/{till.shop.campaign.id}"
    assert await status_of(till) == "settled"
    late = await till.post("/v1/orders", till.shop.order(paid_at=paid_before.isoformat()))
    assert (late.status_code, late.json()["code"]) == (409, "campaign_ended")
    member: dict[str, Any] = {"member": {"external_id": "late"}}
    for refused in ("participants", "resume", "pause", "publish"):
        answer = await till.api.post(f"{path}/{refused}", json=member if refused == "participants" else None)
        assert (answer.status_code, answer.json()["code"]) == (409, "campaign_ended"), refused
    assert (await till.api.post(f"{path}/end")).json()["status"] == "settled"
    assert (await till.refund(order["id"], 900)).status_code == 201, "as a new row"
    assert await status_of(till) == "settled"


async def test_the_worker_settles_by_each_tenants_clock(
    resources: Resources, merchant: MerchantFixture, till: Till
) -> None:
    over: dict[str, Any] = {"status": "ended", "ended_at": clock.utcnow() - timedelta(days=1)}
    async with resources.db.tenant(merchant.live_id) as session:
        young = await make_campaign(session, merchant.live_id, **over)
        old = await make_campaign(
            session, merchant.live_id, status="ended", ended_at=clock.utcnow() - timedelta(days=PAST)
        )
    await end(till)
    ahead = update(Merchant).where(Merchant.id == merchant.test_id)
    async with resources.db.system() as session:
        await session.execute(ahead.values(clock_offset_seconds=PAST * clock.DAY_SECONDS))
    assert await settle_campaigns(resources) >= 2
    async with resources.db.tenant(merchant.live_id) as session:
        found = [(await session.get_one(type(each), (merchant.live_id, each.id))).status for each in (young, old)]
    assert found == ["ended", "settled"]
    assert await status_of(till) == "settled"


async def test_an_order_under_way_keeps_it_from_settling(till: Till) -> None:
    await till.sell()
    order = new_order(till.shop)
    await end(till)
    await everything_is(till, "paid")
    async with till.resources.db.tenant(till.shop.merchant_id) as session:
        await service.create(session, merchant_id=till.shop.merchant_id, order=order, now=clock.utcnow())
        async with asyncio.timeout(5):
            assert not await settle(till)
    assert not await settle(till), "now there is a commission"


async def test_an_order_that_meets_the_settlement_waits_and_is_refused(till: Till) -> None:
    body = till.shop.order()
    await end(till)
    own = {"merchant_id": till.shop.merchant_id, "campaign_id": till.shop.campaign.id}
    async with till.resources.db.tenant(till.shop.merchant_id) as session:
        assert await settling.settle(session, **own, now=clock.utcnow() + timedelta(days=PAST))
        late = asyncio.create_task(till.post("/v1/orders", body))
        await until_blocked(till.resources, late)
        assert not late.done()
    assert ((await late).status_code, (await late).json()["code"]) == (409, "campaign_ended")


async def test_a_refund_under_way_keeps_it_from_settling(till: Till) -> None:
    order = await till.sell()
    await end(till)
    await everything_is(till, "paid")
    own = {"merchant_id": till.shop.merchant_id, "order_id": order["id"]}
    async with till.resources.db.tenant(till.shop.merchant_id) as session:
        await refunds.refund_order(session, **own, refund=NewRefund("r", 5_900), now=clock.utcnow())
        async with asyncio.timeout(5):
            assert not await settle(till)
    assert not await settle(till), "now there is a debt"
