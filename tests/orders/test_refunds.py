from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app.campaigns.document import CommissionLevel, CommissionRule
from app.kit import clock, ids
from app.models import Campaign, OutboxEvent
from app.resources import Resources
from tests.factories import MerchantFixture
from tests.factories.money import pay_out, sum_of_entries
from tests.factories.shops import Shop, Till, open_shop

LINES = [{"external_line_id": "a", "amount_minor": 2_900}, {"external_line_id": "b", "amount_minor": 3_000}]


async def rows(till: Till, order_id: str) -> list[tuple[int, int, str]]:
    """Level, amount and status of an order's commission rows, oldest first."""
    found = await till.get(f"/v1/orders/{order_id}")
    return [(row["level"], row["amount_minor"], row["status"]) for row in found["commissions"]]


async def test_a_full_refund_before_payout_leaves_nothing(till: Till, shop: Shop) -> None:
    order = await till.sell()
    refund = await till.refunded(order["id"], 5_900)
    assert (refund["status"], refund["order_id"], refund["currency"]) == ("applied", order["id"], "CNY")
    found = await till.get(f"/v1/orders/{order['id']}")
    assert (found["status"], found["refunded_minor"]) == ("refunded", 5_900)
    assert found["refunds"] == [refund]
    assert await rows(till, order["id"]) == [
        (1, 1_770, "reversed"),
        (2, 590, "reversed"),
        (1, -1_770, "reversed"),
        (2, -590, "reversed"),
    ]
    assert await till.balance(shop.first) == (0, 0)
    await till.check_books()


async def test_a_partial_refund_takes_every_levels_share(till: Till, shop: Shop) -> None:
    order = await till.sell()
    await till.refunded(order["id"], 1_000)
    found = await till.get(f"/v1/orders/{order['id']}")
    assert (found["status"], found["refunded_minor"]) == ("partly_refunded", 1_000)
    negative = found["commissions"][2]
    assert (negative["amount_minor"], negative["reverses"]) == (-300, found["commissions"][0]["id"])
    assert negative["refund_id"] == found["refunds"][0]["id"]
    assert await till.balance(shop.first) == (1_770, -300)
    assert await till.balance(shop.second) == (590, -100)
    await till.check_books()


async def test_thirds_add_up_to_exactly_what_was_earned(till: Till, shop: Shop) -> None:
    order = await till.sell(amount_minor=1_000)
    for part in (333, 333, 334):
        await till.refunded(order["id"], part)
        await till.check_books()
    taken = [amount for _, amount, _ in await rows(till, order["id"])]
    assert taken == [300, 100, -99, -33, -100, -33, -101, -34]
    assert await till.balance(shop.first) == (0, 0)


async def test_a_refund_after_the_hold_nets_within_the_account(till: Till, shop: Shop) -> None:
    kept, returned = await till.sell(), await till.sell()
    await till.wait_days(8)
    await till.refunded(returned["id"], 5_900)
    assert await till.balance(shop.first) == (0, 1_770)
    assert {status for _, _, status in await rows(till, returned["id"])} == {"reversed"}
    assert {status for _, _, status in await rows(till, kept["id"])} == {"payable"}
    await till.check_books()


async def test_refund_after_payout_leaves_a_negative_balance(till: Till, shop: Shop, resources: Resources) -> None:
    order = await till.sell()
    await till.wait_days(8)
    assert await pay_out(resources, shop.merchant_id, shop.first.member_id) == 1_770
    await till.refunded(order["id"], 5_900)
    assert await till.balance(shop.first) == (0, -1_770)
    assert await till.balance(shop.second) == (0, 0)
    assert await rows(till, order["id"]) == [
        (1, 1_770, "paid"),
        (2, 590, "reversed"),
        (1, -1_770, "payable"),
        (2, -590, "reversed"),
    ]
    async with resources.db.tenant(shop.merchant_id) as session:
        assert await sum_of_entries(session, shop.merchant_id, "member_paid") == 1_770
    await till.check_books()


async def test_the_next_commission_pays_the_debt(till: Till, shop: Shop, resources: Resources) -> None:
    first = await till.sell()
    await till.wait_days(8)
    await pay_out(resources, shop.merchant_id, shop.first.member_id)
    await till.refunded(first["id"], 2_950)
    await till.sell()
    await till.wait_days(8)
    assert await till.balance(shop.first) == (0, 1_770 - 885)
    assert await pay_out(resources, shop.merchant_id, shop.first.member_id) == 885
    await till.check_books()


async def test_a_refund_by_lines_touches_those_lines_alone(till: Till) -> None:
    order = await till.sell(lines=LINES)
    await till.refunded(order["id"], 1_500, lines=[{"external_line_id": "b", "amount_minor": 1_500}])
    found = await till.get(f"/v1/orders/{order['id']}")
    assert [line["refunded_minor"] for line in found["lines"]] == [0, 1_500]
    assert [amount for _, amount, _ in await rows(till, order["id"])][4:] == [-450, -150]
    await till.refunded(order["id"], 4_400)
    found = await till.get(f"/v1/orders/{order['id']}")
    assert [line["refunded_minor"] for line in found["lines"]] == [2_900, 3_000]
    assert {status for _, _, status in await rows(till, order["id"])} == {"reversed"}
    await till.check_books()


async def test_without_lines_it_is_spread_over_what_is_left(till: Till) -> None:
    order = await till.sell(lines=LINES)
    refund = await till.refunded(order["id"], 1_001)
    assert refund["lines"] == [
        {"external_line_id": "a", "amount_minor": 492},
        {"external_line_id": "b", "amount_minor": 509},
    ]


async def test_names_and_no_names_end_alike_whichever_comes_first(till: Till, shop: Shop) -> None:
    """To the fen, by line and person; what came without a name gives way to the name that comes later."""
    told: list[tuple[int, dict[str, Any]]] = [
        (3_001, {}),
        (2_900, {"lines": [{"external_line_id": "a", "amount_minor": 2_900}]}),
    ]
    ends = []
    for parts in (told, told[::-1]):
        order = await till.sell(lines=[*LINES, {"external_line_id": "c", "amount_minor": 7}], amount_minor=5_907)
        last = [await till.refunded(order["id"], amount, **more) for amount, more in parts][-1]
        found = await till.get(f"/v1/orders/{order['id']}")
        by_level = {
            level: sum(minor for at, minor, _ in await rows(till, order["id"]) if at == level) for level in (1, 2)
        }
        ends.append((sorted((line["external_line_id"], line["refunded_minor"]) for line in found["lines"]), by_level))
        assert sum(line["amount_minor"] for line in last["lines"]) == last["amount_minor"]
        await till.check_books()
    assert ends[0] == ends[1]
    assert ends[0][0] == [("a", 2_900), ("b", 2_994), ("c", 7)]


@pytest.mark.parametrize(
    ("amount", "more", "code", "pointer"),
    [
        (5_901, {}, "refund_exceeds_paid", "/amount_minor"),
        (100, {"currency": "USD"}, "currency_mismatch", "/currency"),
        (
            3_001,
            {"lines": [{"external_line_id": "b", "amount_minor": 3_001}]},
            "refund_exceeds_paid",
            "/lines/0/amount_minor",
        ),
        (
            100,
            {"lines": [{"external_line_id": "c", "amount_minor": 100}]},
            "line_not_found",
            "/lines/0/external_line_id",
        ),
        (100, {"lines": [{"external_line_id": "a", "amount_minor": 99}]}, "lines_sum_mismatch", "/lines"),
        (5_800, {"lines": [LINES[0], LINES[0]]}, "line_repeated", "/lines"),
        (100, {"refunded_at": "2100-01-01T00:00:00Z"}, "refunded_at_in_future", "/refunded_at"),
        (0, {}, "validation_failed", "/amount_minor"),
        (1.5, {}, "validation_failed", "/amount_minor"),
    ],
)
async def test_what_does_not_fit_changes_nothing(
    till: Till, amount: Any, more: dict[str, Any], code: str, pointer: str
) -> None:
    order = await till.sell(lines=LINES)
    answer = await till.refund(order["id"], amount, **more)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert await till.get(f"/v1/orders/{order['id']}") == order


async def test_the_same_refund_again_is_the_first_one(till: Till) -> None:
    order = await till.sell()
    first = await till.refund(order["id"], 1_000, external_refund_id="r-1")
    again = await till.refund(order["id"], 1_000, external_refund_id="r-1")
    by_name = {"external_order_id": order["external_order_id"], "external_refund_id": "r-1", "amount_minor": 1_000}
    named = await till.post("/v1/refunds", by_name)
    assert (first.status_code, again.status_code, named.status_code) == (201, 200, 200)
    assert first.json() == again.json() == named.json()
    other = await till.refund(order["id"], 1_001, external_refund_id="r-1")
    assert (other.status_code, other.json()["code"]) == (409, "external_refund_id_reused")
    elsewhere = await till.refund((await till.sell())["id"], 1_000, external_refund_id="r-1")
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (409, "external_refund_id_reused")
    assert (await till.get(f"/v1/orders/{order['id']}"))["refunded_minor"] == 1_000


async def test_the_same_refund_in_another_currency_is_another(till: Till) -> None:
    order, body = await till.sell(), {"external_refund_id": "r", "amount_minor": 1_000}
    path = f"/v1/orders/{order['id']}/refunds"
    answers = [await till.post(path, {**body, **more}) for more in ({}, {"currency": "CNY"}, {"currency": "USD"})]
    assert [answer.status_code for answer in answers] == [201, 200, 409]
    assert answers[2].json()["code"] == "external_refund_id_reused"


async def test_nothing_is_given_back_before_it_was_paid(till: Till, shop: Shop) -> None:
    order = await till.sell()
    before = datetime.fromisoformat(order["paid_at"]) - timedelta(hours=1)
    answer = await till.refund(order["id"], 1_000, refunded_at=before.isoformat())
    assert (answer.status_code, answer.json()["code"]) == (422, "refunded_at_before_payment")
    assert (await till.get(f"/v1/orders/{order['id']}"))["refunded_minor"] == 0
    early = {"external_order_id": "o", "external_refund_id": "r", "amount_minor": 1_000}
    assert (await till.post("/v1/refunds", {**early, "refunded_at": before.isoformat()})).status_code == 201
    (parked,) = (await till.sell(external_order_id="o"))["refunds"]
    assert (parked["status"], parked["refusal"]) == ("refused", "refunded_at_before_payment")
    await till.check_books()


async def test_an_unknown_or_foreign_order_is_not_refunded(till: Till, live_api: httpx.AsyncClient) -> None:
    order = await till.sell()
    body = {"external_refund_id": "r-1", "amount_minor": 1}
    foreign = await live_api.post(
        f"/v1/orders/{order['id']}/refunds", json=body, headers={"Idempotency-Key": ids.new("key")}
    )
    unknown = await till.refund(ids.new("ord"), 1)
    assert (foreign.status_code, foreign.json()["code"]) == (404, "order_not_found")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "order_not_found")


async def test_a_settled_campaign_still_takes_refunds(till: Till, shop: Shop, resources: Resources) -> None:
    order = await till.sell()
    async with resources.db.tenant(shop.merchant_id) as session:
        campaign = await session.get_one(Campaign, (shop.merchant_id, shop.campaign.id))
        campaign.status, campaign.ended_at = "settled", clock.utcnow()
    await till.refunded(order["id"], 5_900)
    await till.check_books()


async def test_twenty_refunds_at_once_never_take_more_than_was_paid(till: Till, shop: Shop) -> None:
    order = await till.sell()
    answers = await asyncio.gather(*(till.refund(order["id"], 500) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [201] * 11 + [422] * 9
    assert {answer.json()["code"] for answer in answers if answer.status_code == 422} == {"refund_exceeds_paid"}
    found = await till.get(f"/v1/orders/{order['id']}")
    assert (found["refunded_minor"], found["status"]) == (5_500, "partly_refunded")
    await till.refunded(order["id"], 400)
    assert await till.balance(shop.first) == (0, 0)
    await till.check_books()


async def test_one_refund_sent_twenty_times_at_once_is_applied_once(till: Till) -> None:
    order = await till.sell()
    sent = (till.refund(order["id"], 100, external_refund_id="r-1") for _ in range(20))
    answers = await asyncio.gather(*sent)
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert (await till.get(f"/v1/orders/{order['id']}"))["refunded_minor"] == 100


async def test_refunds_sales_and_releases_at_once_keep_the_books(till: Till, shop: Shop) -> None:
    orders = [await till.sell() for _ in range(4)]
    work = [till.refund(order["id"], 700) for order in orders for _ in range(3)]
    work += [till.post("/v1/orders", shop.order()) for _ in range(4)]
    clocks = [till.api.post("/v1/test-clock", json={"advance_seconds": 300_000}) for _ in range(3)]
    answers = await asyncio.gather(*work, *clocks)
    assert {answer.status_code for answer in answers} <= {200, 201}
    await till.check_books()


async def test_a_refund_is_told_to_the_outbox(till: Till, shop: Shop, resources: Resources) -> None:
    order = await till.sell()
    await till.refunded(order["id"], 1_000)
    async with resources.db.tenant(shop.merchant_id) as session:
        events = (await session.scalars(select(OutboxEvent).where(OutboxEvent.type.like("%re%d")))).all()
    told = {event.type: event.data for event in events if event.type != "commission.held"}
    assert sorted(told) == ["commission.reversed", "order.refunded"]
    assert told["order.refunded"]["refunded_minor"] == 1_000
    assert told["commission.reversed"]["amount_minor"] < 0


async def test_a_line_of_no_value_is_left_alone(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    rule = CommissionRule(levels=(CommissionLevel(level=1, rate_bps=5_000),))
    till = Till(api, resources, await open_shop(resources, merchant, commission=rule))
    gift = {"external_line_id": "gift", "amount_minor": 0}
    order = await till.sell(lines=[*LINES, gift])
    assert [part["reason"] for part in order["explanation"]] == [None, None, "rounds_to_zero"]
    await till.refunded(order["id"], 5_900)
    assert {status for _, _, status in await rows(till, order["id"])} == {"reversed"}
