"""What moves stock and money, by many at once, each on a connection of its own."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from app.kit import clock
from app.kit.errors import Conflict
from app.models import Checkout
from app.orders import notices
from app.resources import Resources
from tests.factories import MerchantFixture
from tests.factories.checkouts import Desk, notify, told
from tests.factories.locks import until_blocked
from tests.factories.shops import open_shop


async def test_two_hundred_buyers_share_fifty_pieces(resources: Resources, merchant: MerchantFixture) -> None:
    desk = Desk(resources, await open_shop(resources, merchant, stock=50))
    found = await asyncio.gather(*(desk.open() for _ in range(200)), return_exceptions=True)
    opened = [one for one in found if isinstance(one, Checkout)]
    refused = [one for one in found if isinstance(one, Conflict)]
    assert (len(opened), len(refused), {one.code for one in refused}) == (50, 150, {"out_of_stock"})
    assert await desk.left() == 0
    paid = await asyncio.gather(*(desk.hear(one) for one in opened[:20]))
    assert {one.status for one in paid} == {"paid"}
    assert (await desk.count("orders"), await desk.left()) == (20, 0)


async def test_two_notifications_at_once_are_one_order(resources: Resources, merchant: MerchantFixture) -> None:
    desk = Desk(resources, await open_shop(resources, merchant, stock=9))
    checkout = await desk.open()
    heard = await asyncio.gather(*(desk.hear(checkout) for _ in range(8)))
    assert {one.status for one in heard} == {"paid"}
    assert (await desk.count("orders"), await desk.left()) == (1, 8)


async def test_a_payment_that_meets_its_end_holds_stock_once(resources: Resources, merchant: MerchantFixture) -> None:
    from_now = Desk(resources, await open_shop(resources, merchant, stock=9))
    opened = [await from_now.open() for _ in range(9)]
    await asyncio.gather(
        *(from_now.hear(one) for one in opened),
        *(from_now.hear(one, state="failed") for one in opened),
    )
    states = [(await from_now.look(one)).status for one in opened]
    assert set(states) == {"paid"}  # whichever came first: what is paid is paid, and takes its piece again
    assert (await from_now.count("orders"), await from_now.left()) == (9, 0)


async def test_who_presses_twice_opens_one_checkout(resources: Resources, merchant: MerchantFixture) -> None:
    desk = Desk(resources, await open_shop(resources, merchant, stock=9))
    found = await asyncio.gather(*(desk.open(once=True) for _ in range(8)))
    assert (len({one.id for one in found}), await desk.left()) == (1, 8)


async def test_one_payment_told_of_two_checkouts_at_once_pays_for_one(
    resources: Resources, merchant: MerchantFixture
) -> None:
    desk = Desk(resources, await open_shop(resources, merchant, stock=9))
    first, second = await desk.open(), await desk.open()
    one: dict[str, Any] = {"external_id": "SANDBOX-ONE"}
    async with resources.db.tenant(desk.merchant_id) as session:
        notice = told(desk.merchant_id, first.id, **one)
        await notices.take(session, notice=notice, told_by="notification", now=clock.utcnow())
        other = asyncio.create_task(desk.hear(second, **one))
        await until_blocked(resources, other)
    with pytest.raises(Conflict) as refused:
        await other
    assert refused.value.code == "payment_used"
    states = [(one.status, one.external_id) for one in (await desk.look(first), await desk.look(second))]
    assert states == [("paid", "SANDBOX-ONE"), ("open", None)]
    assert [await desk.count(table) for table in ("orders", "payment_notices")] == [1, 1]
    assert await desk.left() == 7


async def test_a_payment_that_many_checkouts_name_at_once_is_never_a_fault(
    resources: Resources, merchant: MerchantFixture, http: httpx.AsyncClient
) -> None:
    desk = Desk(resources, await open_shop(resources, merchant, stock=20))
    opened = [await desk.open() for _ in range(8)]
    told_of = [told(desk.merchant_id, one.id, external_id="SANDBOX-ONE") for one in opened]
    answers = await asyncio.gather(*(notify(http, notice) for notice in told_of))
    found = sorted((answer.status_code, answer.json()["message"]) for answer in answers)
    assert found == [(200, "SUCCESS"), *[(409, "payment_used")] * 7]
    assert [await desk.count(table) for table in ("orders", "payment_notices")] == [1, 7]
