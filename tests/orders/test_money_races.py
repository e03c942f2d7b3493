"""Orders, refunds, fulfilments, releases and payouts at once: whoever comes first, the books agree."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.commissions.service import release_due
from app.kit import clock, ids
from app.orders import clearing, fulfilment, refunds
from app.orders.rules import NewRefund
from app.resources import Resources
from tests.factories import MerchantFixture
from tests.factories.campaigns import TWO_LEVELS
from tests.factories.locks import until_blocked
from tests.factories.money import pay_out
from tests.factories.shops import Till, open_shop

FULFILLED = TWO_LEVELS.model_copy(update={"hold_from": "fulfilment"})


@pytest.fixture
async def till(api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture) -> Till:
    return Till(api, resources, await open_shop(resources, merchant, commission=FULFILLED))


async def fulfil(till: Till, order_id: str) -> httpx.Response:
    return await till.post(f"/v1/orders/{order_id}/fulfil", {})


async def statuses(till: Till, order_id: str) -> list[str]:
    return [row["status"] for row in (await till.get(f"/v1/orders/{order_id}"))["commissions"]]


async def test_twenty_fulfilments_at_once_are_one(till: Till) -> None:
    order = await till.sell()
    answers = await asyncio.gather(*(fulfil(till, order["id"]) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["fulfilled_at"] for answer in answers}) == 1
    found = await till.get(f"/v1/members/{till.shop.first.member_id}/balance")
    assert (found["pending_minor"], found["held_minor"]) == (0, 1_770)
    await till.check_books()


async def test_a_refund_that_meets_a_fulfilment_waits_and_takes_what_is_held(till: Till) -> None:
    order = await till.sell()
    own: dict[str, Any] = {"merchant_id": till.shop.merchant_id, "order_id": order["id"]}
    async with till.resources.db.tenant(till.shop.merchant_id) as session:
        await fulfilment.fulfil(session, **own, fulfilled_at=None, now=clock.utcnow())
        refund = asyncio.create_task(till.refund(order["id"], 5_900))
        await until_blocked(till.resources, refund)
        assert not refund.done()
    assert (await refund).status_code == 201
    assert set(await statuses(till, order["id"])) == {"reversed"}
    await till.check_books()


async def test_a_fulfilment_that_meets_a_full_refund_waits_and_is_refused(till: Till) -> None:
    order = await till.sell()
    own: dict[str, Any] = {"merchant_id": till.shop.merchant_id, "order_id": order["id"]}
    async with till.resources.db.tenant(till.shop.merchant_id) as session:
        await refunds.refund_order(session, **own, refund=NewRefund(ids.new("ext"), 5_900), now=clock.utcnow())
        late = asyncio.create_task(fulfil(till, order["id"]))
        await until_blocked(till.resources, late)
        assert not late.done()
    assert (await late).json()["code"] == "order_refunded"
    await till.check_books()


async def test_a_release_passes_by_members_that_are_being_fulfilled(till: Till) -> None:
    begun = await till.sell()
    assert (await fulfil(till, begun["id"])).status_code == 200
    order, later = await till.sell(), clock.utcnow() + timedelta(days=8)
    own: dict[str, Any] = {"merchant_id": till.shop.merchant_id}
    async with till.resources.db.tenant(till.shop.merchant_id) as session:
        await fulfilment.fulfil(session, **own, order_id=order["id"], fulfilled_at=None, now=clock.utcnow())
        async with asyncio.timeout(10), till.resources.db.tenant(till.shop.merchant_id) as other:
            assert await release_due(other, **own, now=later) == 0
    async with till.resources.db.tenant(till.shop.merchant_id) as session:
        assert await release_due(session, **own, now=later) == 4
    await till.check_books()


async def test_everything_at_once_keeps_the_books(till: Till) -> None:
    orders = [await till.sell() for _ in range(5)]
    work = [till.refund(order["id"], part) for order in orders for part in (700, 1_300, 3_900)]
    work += [fulfil(till, order["id"]) for order in orders]
    work += [till.post("/v1/orders", till.shop.order()) for _ in range(5)]
    clocks = [till.api.post("/v1/test-clock", json={"advance_seconds": 300_000}) for _ in range(3)]
    payouts = [pay_out(till.resources, till.shop.merchant_id, till.shop.first.member_id) for _ in range(2)]
    answers, _ = await asyncio.gather(asyncio.gather(*work, *clocks), asyncio.gather(*payouts))
    assert {answer.status_code for answer in answers} <= {200, 201, 409}
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} <= {"order_refunded"}
    for order in orders:
        assert (await till.get(f"/v1/orders/{order['id']}"))["status"] == "refunded"
        assert set(await statuses(till, order["id"])) <= {"reversed", "paid", "payable"}
    await till.check_books()


async def test_orders_of_other_promoters_wait_for_no_row_of_the_merchant(
    till: Till, resources: Resources, merchant: MerchantFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One order stands in the middle of its transaction with all of its legs written; another one passes it."""
    await till.sell()
    written, go_on, real = asyncio.Event(), asyncio.Event(), clearing.sold

    async def stop_after(*args: Any, **values: Any) -> None:
        await real(*args, **values)
        if not written.is_set():
            written.set()
            await go_on.wait()

    monkeypatch.setattr(clearing, "sold", stop_after)
    slow = asyncio.create_task(till.sell())
    await written.wait()
    other = Till(till.api, resources, await open_shop(resources, merchant, commission=FULFILLED))
    async with asyncio.timeout(10):
        assert (await other.sell())["commissions"]
    assert not slow.done()
    go_on.set()
    assert (await slow)["commissions"]
    await till.check_books()
