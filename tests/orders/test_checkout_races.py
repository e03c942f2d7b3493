"""What moves stock and money, by many at once, each on a connection of its own."""

from __future__ import annotations

import asyncio

from app.kit.errors import Conflict
from app.models import Checkout
from app.resources import Resources
from tests.factories import MerchantFixture
from tests.factories.checkouts import Desk
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
