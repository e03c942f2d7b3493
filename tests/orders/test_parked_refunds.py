from __future__ import annotations

import asyncio
from typing import Any

import httpx

from app.kit import ids
from tests.factories.shops import Shop, Till


async def park(till: Till, external_order_id: str, amount_minor: int, **more: Any) -> dict[str, Any]:
    body = {"external_order_id": external_order_id, "external_refund_id": ids.new("ext"), "amount_minor": amount_minor}
    answer = await till.post("/v1/refunds", body | more)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_a_refund_before_its_order_waits_for_it(till: Till, shop: Shop) -> None:
    early = await park(till, "o-1", 1_000)
    assert (early["status"], early["order_id"], early["currency"]) == ("parked", None, None)
    order = await till.sell(external_order_id="o-1")
    assert (order["status"], order["refunded_minor"]) == ("partly_refunded", 1_000)
    applied = {**early, "status": "applied", "order_id": order["id"], "currency": "CNY"}
    applied["lines"] = [{"external_line_id": "whole", "amount_minor": 1_000}]
    assert order["refunds"] == [applied]
    assert await till.balance(shop.first) == (1_770, -300)
    await till.check_books()


async def test_a_whole_order_may_be_refunded_before_it_comes(till: Till, shop: Shop) -> None:
    await park(till, "o-1", 2_000)
    await park(till, "o-1", 3_900)
    order = await till.sell(external_order_id="o-1")
    assert order["status"] == "refunded"
    assert {row["status"] for row in order["commissions"]} == {"reversed"}
    assert await till.balance(shop.first) == (0, 0)
    await till.check_books()


async def test_what_does_not_fit_its_order_is_refused_with_the_reason(till: Till) -> None:
    await park(till, "o-1", 5_000)
    await park(till, "o-1", 5_000)
    await park(till, "o-1", 1, currency="USD")
    await park(till, "o-1", 1, lines=[{"external_line_id": "nothing", "amount_minor": 1}])
    order = await till.sell(external_order_id="o-1")
    assert [(refund["status"], refund["refusal"]) for refund in order["refunds"]] == [
        ("applied", None),
        ("refused", "refund_exceeds_paid"),
        ("refused", "currency_mismatch"),
        ("refused", "line_not_found"),
    ]
    assert order["refunded_minor"] == 5_000
    await till.check_books()


async def test_a_parked_refund_again_is_the_first_one(till: Till) -> None:
    body = {"external_order_id": "o-1", "external_refund_id": "r-1", "amount_minor": 1_000}
    first, again = await till.post("/v1/refunds", body), await till.post("/v1/refunds", body)
    assert (first.status_code, again.status_code, again.json()) == (201, 200, first.json())
    other = await till.post("/v1/refunds", {**body, "external_order_id": "o-2"})
    assert (other.status_code, other.json()["code"]) == (409, "external_refund_id_reused")
    order = await till.sell(external_order_id="o-1")
    assert (order["refunded_minor"], len(order["refunds"])) == (1_000, 1)
    late = await till.post("/v1/refunds", body)
    assert (late.status_code, late.json()) == (200, order["refunds"][0])


async def test_what_fits_no_order_is_not_parked(till: Till) -> None:
    lines = [{"external_line_id": "a", "amount_minor": 1}]
    body = {"external_order_id": "o-1", "external_refund_id": "r-1", "amount_minor": 2, "lines": lines}
    answer = await till.post("/v1/refunds", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "lines_sum_mismatch")
    assert (await till.sell(external_order_id="o-1"))["refunds"] == []


async def test_anothers_parked_refund_is_not_applied(till: Till, live_api: httpx.AsyncClient) -> None:
    body = {"external_order_id": "o-1", "external_refund_id": "r-1", "amount_minor": 1_000}
    parked = await live_api.post("/v1/refunds", json=body, headers={"Idempotency-Key": ids.new("key")})
    assert parked.json()["status"] == "parked"
    assert (await till.sell(external_order_id="o-1"))["refunded_minor"] == 0


async def test_an_order_and_its_refund_at_once_find_each_other(till: Till, shop: Shop) -> None:
    names = [f"o-{number}" for number in range(12)]
    sales = [till.post("/v1/orders", shop.order(external_order_id=name)) for name in names]
    refunds = [park(till, name, 5_900) for name in names]
    both = [one for pair in zip(sales, refunds, strict=True) for one in pair]
    await asyncio.gather(*both)
    found = (await till.get("/v1/orders", limit=100))["data"]
    assert [order["status"] for order in found] == ["refunded"] * 12
    assert await till.balance(shop.first) == (0, 0)
    await till.check_books()
