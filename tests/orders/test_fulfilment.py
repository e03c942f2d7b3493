from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app.campaigns.document import CommissionRule
from app.kit import clock, ids
from app.models import OutboxEvent
from app.resources import Resources
from tests.factories import MerchantFixture
from tests.factories.campaigns import TWO_LEVELS
from tests.factories.money import pay_out
from tests.factories.shops import Till, open_shop

FULFILLED: CommissionRule = TWO_LEVELS.model_copy(update={"hold_from": "fulfilment"})


@pytest.fixture
async def till(api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture) -> Till:
    """Of a shop whose commissions wait for fulfilment."""
    return Till(api, resources, await open_shop(resources, merchant, commission=FULFILLED))


async def fulfil(till: Till, order_id: str, **body: Any) -> httpx.Response:
    return await till.post(f"/v1/orders/{order_id}/fulfil", body)


async def fulfilled(till: Till, order_id: str, **body: Any) -> dict[str, Any]:
    answer = await fulfil(till, order_id, **body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def buckets(till: Till) -> tuple[int, int, int]:
    """Pending, held and payable of the first promoter."""
    found = await till.get(f"/v1/members/{till.shop.first.member_id}/balance")
    return found["pending_minor"], found["held_minor"], found["payable_minor"]


async def told(till: Till) -> list[str]:
    async with till.resources.db.tenant(till.shop.merchant_id) as session:
        types = await session.scalars(select(OutboxEvent.type).order_by(OutboxEvent.id))
        return [type_ for type_ in types if type_.startswith("commission.")]


async def test_commission_is_pending_until_the_order_is_fulfilled(till: Till) -> None:
    order = await till.sell()
    assert [(row["status"], row["hold_until"]) for row in order["commissions"]] == [("pending", None)] * 2
    assert await buckets(till) == (1_770, 0, 0)
    await till.wait_days(30)
    assert await buckets(till) == (1_770, 0, 0)
    assert await told(till) == []
    await till.check_books()


async def test_fulfilment_begins_the_hold(till: Till) -> None:
    order = await till.sell()
    found = await fulfilled(till, order["id"])
    assert [row["status"] for row in found["commissions"]] == ["held", "held"]
    end = datetime.fromisoformat(found["fulfilled_at"]) + timedelta(days=7)
    assert {datetime.fromisoformat(row["hold_until"]) for row in found["commissions"]} == {end}
    assert await buckets(till) == (0, 1_770, 0)
    assert await told(till) == ["commission.held"] * 2
    await till.check_books()
    await till.wait_days(8)
    assert await buckets(till) == (0, 0, 1_770)
    await till.check_books()


async def test_a_hold_is_never_shorter_than_the_refund_window(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    rule = FULFILLED.model_copy(update={"hold_days": 1, "refund_window_days": 10})
    till = Till(api, resources, await open_shop(resources, merchant, commission=rule))
    found = await fulfilled(till, (await till.sell())["id"])
    end = datetime.fromisoformat(found["fulfilled_at"]) + timedelta(days=10)
    assert {datetime.fromisoformat(row["hold_until"]) for row in found["commissions"]} == {end}


async def test_what_was_fulfilled_long_ago_is_payable_at_once(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    begun = {"commission": FULFILLED, "starts_at": clock.utcnow() - timedelta(days=30)}
    till = Till(api, resources, await open_shop(resources, merchant, **begun))
    order = await till.sell(paid_at=(clock.utcnow() - timedelta(days=20)).isoformat())
    found = await fulfilled(till, order["id"], fulfilled_at=(clock.utcnow() - timedelta(days=9)).isoformat())
    assert [row["status"] for row in found["commissions"]] == ["payable", "payable"]
    assert await buckets(till) == (0, 0, 1_770)
    assert await told(till) == ["commission.payable"] * 2
    await till.check_books()


async def test_the_same_again_changes_nothing_and_another_time_is_refused(till: Till) -> None:
    order = await till.sell()
    at = clock.utcnow().isoformat()
    first = await fulfilled(till, order["id"], fulfilled_at=at)
    assert await fulfilled(till, order["id"], fulfilled_at=at) == first
    assert await fulfilled(till, order["id"]) == first
    other = await fulfil(till, order["id"], fulfilled_at=(clock.utcnow() - timedelta(seconds=1)).isoformat())
    assert (other.status_code, other.json()["code"]) == (409, "order_already_fulfilled")
    assert await buckets(till) == (0, 1_770, 0)


async def test_nothing_is_left_to_fulfil_of_a_refunded_order(till: Till) -> None:
    order = await till.sell()
    await till.refunded(order["id"], 5_900)
    answer = await fulfil(till, order["id"])
    assert (answer.status_code, answer.json()["code"]) == (409, "order_refunded")
    assert await buckets(till) == (0, 0, 0)
    await till.check_books()


async def test_a_refund_while_pending_takes_the_pending_money(till: Till) -> None:
    order = await till.sell()
    await till.refunded(order["id"], 1_000)
    assert await buckets(till) == (1_770, 0, -300)
    await till.check_books()
    found = await fulfilled(till, order["id"])
    assert [(row["amount_minor"], row["status"]) for row in found["commissions"]] == [
        (1_770, "held"),
        (590, "held"),
        (-300, "payable"),
        (-100, "payable"),
    ]
    await till.refunded(order["id"], 4_900)
    assert await buckets(till) == (0, 0, 0)
    await till.check_books()


async def test_a_full_refund_in_parts_while_pending_leaves_nothing(till: Till) -> None:
    order = await till.sell(amount_minor=1_000)
    for part in (333, 333, 334):
        await till.refunded(order["id"], part)
        await till.check_books()
    assert await buckets(till) == (0, 0, 0)
    found = await till.get(f"/v1/orders/{order['id']}")
    assert {row["status"] for row in found["commissions"]} == {"reversed"}


async def test_an_order_held_from_payment_is_fulfilled_without_a_movement(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    till = Till(api, resources, await open_shop(resources, merchant))
    order = await till.sell()
    found = await fulfilled(till, order["id"])
    assert found["fulfilled_at"] is not None
    assert found["commissions"] == order["commissions"]
    await till.wait_days(8)
    assert await pay_out(resources, till.shop.merchant_id, till.shop.first.member_id) == 1_770


async def test_a_rule_changed_since_does_not_change_the_hold(till: Till) -> None:
    order = await till.sell()
    change = {"commission": {"levels": [{"level": 1, "rate_bps": 100}], "hold_days": 90, "hold_from": "payment"}}
    answer = await till.api.patch(f"/v1/campaigns/{till.shop.campaign.id}", json=change)
    assert answer.status_code == 200, answer.text
    found = await fulfilled(till, order["id"])
    end = datetime.fromisoformat(found["fulfilled_at"]) + timedelta(days=7)
    assert {datetime.fromisoformat(row["hold_until"]) for row in found["commissions"]} == {end}


@pytest.mark.parametrize(
    ("shift", "code"),
    [(timedelta(hours=1), "fulfilled_at_in_future"), (-timedelta(hours=1), "fulfilled_at_before_payment")],
)
async def test_times_that_cannot_be_are_refused(till: Till, shift: timedelta, code: str) -> None:
    order = await till.sell()
    answer = await fulfil(till, order["id"], fulfilled_at=(clock.utcnow() + shift).isoformat())
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert answer.json()["errors"][0]["pointer"] == "/fulfilled_at"
    assert await buckets(till) == (1_770, 0, 0)


async def test_money_wants_an_idempotency_key(till: Till) -> None:
    order = await till.sell()
    answer = await till.api.post(f"/v1/orders/{order['id']}/fulfil", json={})
    assert answer.status_code == 400
    assert (await fulfil(till, ids.new("ord"))).json()["code"] == "order_not_found"


@pytest.mark.parametrize(
    ("product", "commission", "held"),
    [
        ({"kind": "service"}, {}, 15),
        ({"kind": "goods"}, {}, 7),
        ({}, {}, 7),
        ({"kind": "service"}, {"hold_days": 3}, 3),
    ],
)
async def test_services_are_held_longer_where_nothing_was_said(
    api: httpx.AsyncClient, product: dict[str, Any], commission: dict[str, Any], held: int
) -> None:
    body = {
        "name": "课程",
        "kind": "distribution",
        "product": {"name": "课程", "price_minor": 5_900, **product},
        "commission": {"levels": [{"level": 1, "rate_bps": 1_000}], **commission},
    }
    answer = await api.post("/v1/campaigns", json=body)
    assert answer.json()["commission"]["hold_days"] == held
    again = {"commission": {"levels": [{"level": 1, "rate_bps": 500}], **commission}}
    changed = await api.patch(f"/v1/campaigns/{answer.json()['id']}", json=again)
    assert changed.json()["commission"]["hold_days"] == held
    assert changed.json()["product"]["kind"] == product.get("kind", "goods")
