"""What a merchant buys of the house is its own to look at, whatever becomes of it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app.kit import ids
from app.models import Checkout
from app.orders import checkout as checkouts
from app.resources import Resources
from tests.merchants.conftest import House, Registered


async def looked_up(api: httpx.AsyncClient, checkout_id: str) -> tuple[int, Any]:
    answer = await api.get(f"/v1/merchant/checkouts/{checkout_id}")
    return answer.status_code, answer.json()


async def opened(merchant: Registered, *, live: bool, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await merchant.api(live=live).post(path, json=body, headers={"Idempotency-Key": ids.new("idk")})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


@pytest.mark.parametrize("live", [False, True], ids=["test", "live"])
@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/merchant/plan", {"plan": "pro_month"}), ("/v1/merchant/top-ups", {"amount_minor": 1_000})],
    ids=["plan", "top-up"],
)
async def test_it_is_read_with_the_key_that_bought_it(
    house: House, resources: Resources, live: bool, path: str, body: dict[str, Any]
) -> None:
    merchant = await house.register()
    made = await opened(merchant, live=live, path=path, body=body)
    assert await looked_up(merchant.api(live=live), made["id"]) == (200, made)
    assert (await looked_up(merchant.api(live=not live), made["id"]))[0] == 404
    async with resources.db.system() as session:
        row = (await session.scalars(select(Checkout).where(Checkout.id == made["id"]))).one()
    assert await house.pay(row)
    status, shown = await looked_up(merchant.api(live=live), made["id"])
    assert (status, shown["status"], shown["paid_at"] is not None) == (200, "paid", True)


async def test_an_expired_one_is_read_as_well(house: House, resources: Resources) -> None:
    merchant = await house.register()
    made = await house.open_plan(merchant.live_id)
    async with resources.db.system() as session:
        row = await session.get_one(Checkout, (made.merchant_id, made.id))
        await checkouts.expire(session, checkout=row, look_at=None)
    status, shown = await looked_up(merchant.live, made.id)
    assert (status, shown["status"], shown["id"]) == (200, "expired", made.id)


async def test_nobody_reads_what_another_merchant_buys(house: House) -> None:
    merchant, other = await house.register(), await house.register()
    made = await house.open_plan(merchant.live_id)
    await house.open_plan(other.live_id)
    for wanted in (made.id, ids.new("ord"), "nonsense"):
        status, problem = await looked_up(other.live, wanted)
        assert (status, problem["code"]) == (404, "checkout_not_found")
