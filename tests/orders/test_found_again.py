"""What was sent is found again by the ids it was sent with."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.factories.checkouts import notify, told
from tests.factories.shops import Shop, Till


async def ids_of(till: Till, path: str, **query: Any) -> list[str]:
    return [row["id"] for row in (await till.get(path, **query))["data"]]


async def test_orders_by_their_own_id_status_buyer_and_day(till: Till, shop: Shop) -> None:
    kept, returned = await till.sell(external_order_id="o-1"), await till.sell(external_order_id="o-2")
    await till.refunded(returned["id"], 5_900)
    assert await ids_of(till, "/v1/orders", external_order_id="o-1") == [kept["id"]]
    assert await ids_of(till, "/v1/orders", external_order_id="o-3") == []
    assert await ids_of(till, "/v1/orders", status="refunded") == [returned["id"]]
    assert await ids_of(till, "/v1/orders", member_id=shop.buyer.member_id) == [returned["id"], kept["id"]]
    assert await ids_of(till, "/v1/orders", member_id=shop.first.member_id) == []
    since = {"created_at[gte]": returned["created_at"]}
    assert await ids_of(till, "/v1/orders", **since) == [returned["id"]]
    assert await ids_of(till, "/v1/orders", **since, status="paid") == []


async def test_refunds_by_either_external_id_and_by_status(till: Till) -> None:
    order = await till.sell(external_order_id="o-1")
    applied = await till.refunded(order["id"], 100, external_refund_id="r-1")
    early = {"external_order_id": "o-9", "external_refund_id": "r-9", "amount_minor": 100}
    parked = (await till.post("/v1/refunds", early)).json()
    too_much = {**early, "external_order_id": "o-2", "external_refund_id": "r-2", "amount_minor": 9_000}
    misfit = (await till.post("/v1/refunds", too_much)).json()
    await till.sell(external_order_id="o-2")
    assert await ids_of(till, "/v1/refunds") == [misfit["id"], parked["id"], applied["id"]]
    assert await ids_of(till, "/v1/refunds", status="parked") == [parked["id"]]
    assert await ids_of(till, "/v1/refunds", status="refused") == [misfit["id"]]
    assert await ids_of(till, "/v1/refunds", external_refund_id="r-1") == [applied["id"]]
    assert await ids_of(till, "/v1/refunds", external_order_id="o-9") == [parked["id"]]
    assert await ids_of(till, "/v1/refunds", order_id=order["id"]) == [applied["id"]]
    assert await till.get(f"/v1/refunds/{applied['id']}") == applied
    assert (await till.get(f"/v1/refunds/{misfit['id']}"))["refusal"] == "refund_exceeds_paid"


async def test_another_merchants_refund_does_not_exist(till: Till, live_api: Any) -> None:
    order = await till.sell()
    refund = await till.refunded(order["id"], 100)
    answer = await live_api.get(f"/v1/refunds/{refund['id']}")
    assert (answer.status_code, answer.json()["code"]) == (404, "refund_not_found")


async def test_checkouts_and_notices_by_the_providers_transaction(till: Till, shop: Shop) -> None:
    wish = {"campaign_id": shop.campaign.id, "member_id": shop.buyer.member_id}
    made = [(await till.post("/v1/checkouts", wish)).json()["id"] for _ in range(2)]
    for checkout_id, amount in zip(made, (5_900, 1), strict=True):
        paid = told(shop.merchant_id, checkout_id, amount_minor=amount, external_id=f"T-{amount}")
        assert (await notify(till.api, paid)).status_code == (200 if amount == 5_900 else 409)
    assert await ids_of(till, "/v1/checkouts", external_id="T-5900") == [made[0]]
    assert await ids_of(till, "/v1/checkouts", external_id="T-1") == []
    (kept,) = await ids_of(till, "/v1/payment-notices")
    assert await ids_of(till, "/v1/payment-notices", external_id="T-1", code="amount_mismatch") == [kept]
    assert await ids_of(till, "/v1/payment-notices", external_id="T-5900") == []
    assert await ids_of(till, "/v1/payment-notices", code="paid_twice") == []


@pytest.mark.parametrize("query", [{"status": "zzz"}, {"code": "zzz"}])
async def test_notices_have_no_such_status_or_code(api: httpx.AsyncClient, query: dict[str, str]) -> None:
    assert (await api.get("/v1/payment-notices", params=query)).status_code == 422
    assert (await api.get("/v1/payment-notices", params={"status": "set_aside"})).status_code == 200


async def test_commissions_by_the_orders_own_id(till: Till) -> None:
    order, other = await till.sell(external_order_id="o-1"), await till.sell(external_order_id="o-2")
    earned = sorted(row["id"] for row in order["commissions"])
    assert earned
    assert sorted(await ids_of(till, "/v1/commissions", external_order_id="o-1")) == earned
    assert await ids_of(till, "/v1/commissions", external_order_id="o-1", order_id=other["id"]) == []
    assert await ids_of(till, "/v1/commissions", external_order_id="o-3") == []
    (shown, *_) = (await till.get("/v1/commissions", external_order_id="o-1"))["data"]
    assert await till.get(f"/v1/commissions/{shown['id']}") == shown
