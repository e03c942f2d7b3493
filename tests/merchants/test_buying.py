"""From a key to a page to pay at, and back: what an outsider sees of buying a plan or funds."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from fastapi import FastAPI

from app.kit import clock, ids
from app.ledger.verify import verify
from app.orders import checkout as checkouts
from app.resources import Resources
from tests.factories import MerchantFixture
from tests.factories.shops import make_shop
from tests.merchants.conftest import House, notice


def key() -> dict[str, str]:
    return {"Idempotency-Key": ids.new("key")}


async def test_plans_are_open_to_everybody(http: httpx.AsyncClient) -> None:
    listed = (await http.get("/v1/plans")).json()
    assert [(plan["id"], plan["price_minor"], plan["days"], plan["platform_fee_bps"]) for plan in listed["data"]] == [
        ("free", 0, 0, 100),
        ("pro_month", 9_900, 30, 60),
        ("pro_year", 99_000, 365, 40),
    ]


@pytest.mark.parametrize("live", [True, False])
async def test_a_plan_is_paid_at_a_page_of_the_house(
    app: FastAPI, http: httpx.AsyncClient, house: House, live: bool
) -> None:
    merchant = await house.register()
    opened = await merchant.api(live=live).post("/v1/merchant/plan", json={"plan": "pro_year"}, headers=key())
    assert opened.status_code == 201, opened.text
    checkout = opened.json()
    assert (checkout["purpose"], checkout["subject"], checkout["amount_minor"]) == ("plan", "pro_year", 99_000)
    assert (checkout["status"], checkout["livemode"], checkout["provider"]) == ("open", live, "sandbox")
    page = await http.get(checkout["pay_url"])
    assert (page.status_code, "990.00" in page.text) == (200, True)


async def test_a_top_up_wants_a_key_and_a_sensible_amount(house: House) -> None:
    api = (await house.register()).test
    opened = await api.post("/v1/merchant/top-ups", json={"amount_minor": 50_000}, headers=key())
    assert (opened.status_code, opened.json()["purpose"]) == (201, "top_up")
    missing = await api.post("/v1/merchant/top-ups", json={"amount_minor": 50_000})
    assert (missing.status_code, missing.json()["code"]) == (400, "idempotency_key_missing")
    for wrong in ({"amount_minor": 99}, {"amount_minor": 5.5}, {}, {"amount_minor": 500, "currency": "USD"}):
        refused = await api.post("/v1/merchant/top-ups", json=wrong, headers=key())
        assert refused.status_code == 422, wrong


async def test_what_is_not_for_sale_is_not_found(house: House) -> None:
    api = (await house.register()).live
    for plan in ("free", "gold"):
        refused = await api.post("/v1/merchant/plan", json={"plan": plan}, headers=key())
        assert (refused.status_code, refused.json()["code"]) == (404, "plan_not_found")


async def test_a_test_twin_enters_the_test_house_once_however_many_buy_at_once(house: House) -> None:
    api = (await house.register()).test
    answers = await asyncio.gather(
        *(api.post("/v1/merchant/plan", json={"plan": "pro_month"}, headers=key()) for _ in range(4))
    )
    assert [answer.status_code for answer in answers] == [201] * 4
    assert len({answer.json()["member_id"] for answer in answers}) == 1


async def test_a_checkout_of_the_house_is_no_checkout_of_the_merchants(house: House) -> None:
    """It is the house that sells: the buyer has its id and its page."""
    api = (await house.register()).test
    checkout = (await api.post("/v1/merchant/plan", json={"plan": "pro_month"}, headers=key())).json()
    assert (await api.get(f"/v1/checkouts/{checkout['id']}")).status_code == 404
    assert (await api.get("/v1/checkouts")).json()["data"] == []


async def test_a_merchant_from_before_the_house_has_a_place_there_can_buy(
    house: House, merchant: MerchantFixture, resources: Resources
) -> None:
    await house.buy(merchant.live_id)
    await house.buy(merchant.test_id)


async def test_what_customers_pay_in_the_tool_fills_the_funds_and_refunds_take_it_out_again(
    house: House, resources: Resources
) -> None:
    merchant = await house.register()
    async with resources.db.tenant(merchant.test_id) as session:
        shop = await make_shop(session, merchant.test_id)
    body = {"campaign_id": shop.campaign.id, "participant_id": shop.buyer.id}
    checkout = (await merchant.test.post("/v1/checkouts", json=body, headers=key())).json()
    async with resources.db.tenant(merchant.test_id) as session:
        row = await checkouts.get(session, merchant_id=merchant.test_id, checkout_id=checkout["id"])
        for _ in range(2):
            await checkouts.settle(session, notice=notice(row, clock.utcnow()), now=clock.utcnow())

    async def available() -> tuple[int, int]:
        found = (await merchant.test.get("/v1/merchant/funding")).json()
        return found["funds_minor"], found["owed_fees_minor"]

    assert await available() == (5_900, 59)
    refund = {"external_refund_id": "r1", "amount_minor": 900}
    for _ in range(2):
        done = await merchant.test.post(f"/v1/orders/{checkout['id']}/refunds", json=refund, headers=key())
        assert done.status_code in {200, 201}, done.text
    assert await available() == (5_000, 50)
    async with resources.db.tenant(merchant.test_id) as session:
        assert (await verify(session, merchant_id=merchant.test_id)).clean
