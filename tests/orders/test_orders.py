from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from dirty_equals import IsDatetime, IsPartialDict, IsStr
from sqlalchemy import func, select

from app.campaigns.document import CommissionLevel, CommissionRule
from app.kit import clock, ids
from app.models import Campaign, Commission, Order, OutboxEvent, Participant, Referral
from app.resources import Resources
from tests.factories import MerchantFixture, make_campaign, make_participant
from tests.factories.shops import Shop, Till, open_shop

LINES = [
    {"external_line_id": "a", "product": "案例集", "amount_minor": 2_900},
    {"external_line_id": "b", "product": "年度会员", "amount_minor": 3_000},
]


async def test_an_order_pays_both_levels_and_explains_itself(till: Till, shop: Shop) -> None:
    order = await till.sell()
    assert order == IsPartialDict(
        id=IsStr(regex="ord_.*"),
        object="order",
        status="paid",
        amount_minor=5_900,
        currency="CNY",
        refunded_minor=0,
        participant_id=shop.buyer.id,
        member_id=shop.buyer.member_id,
        rule_version=1,
        livemode=False,
        refunds=[],
    )
    assert [(row["level"], row["beneficiary_id"], row["amount_minor"]) for row in order["commissions"]] == [
        (1, shop.first.id, 1_770),
        (2, shop.second.id, 590),
    ]
    first = order["commissions"][0]
    assert first == IsPartialDict(status="held", rate_bps=3_000, base_minor=5_900, rule_version=1, livemode=False)
    assert first["hold_until"] == IsDatetime(iso_string=True)
    assert [part["arithmetic"] for part in order["explanation"]] == [
        "5900 × 3000 ÷ 10000 = 1770",
        "5900 × 1000 ÷ 10000 = 590",
    ]
    assert await till.balance(shop.first) == (1_770, 0)
    assert await till.balance(shop.second) == (590, 0)
    await till.check_books()


async def test_the_member_may_name_the_buyer(till: Till, shop: Shop) -> None:
    order = await till.sell(participant_id=None, member_id=shop.buyer.member_id)
    assert order["participant_id"] == shop.buyer.id


async def test_each_line_is_floored_by_itself(till: Till) -> None:
    lines = [{"external_line_id": str(number), "amount_minor": 33} for number in range(3)]
    order = await till.sell(amount_minor=99, lines=lines)
    assert [row["amount_minor"] for row in order["commissions"]] == [9, 3] * 3
    assert {part["external_line_id"] for part in order["explanation"]} == {"0", "1", "2"}


async def test_postage_and_tax_earn_nothing(till: Till) -> None:
    order = await till.sell(shipping_minor=1_000, tax_minor=500)
    assert [row["base_minor"] for row in order["commissions"]] == [5_900, 5_900]


async def test_it_says_why_nobody_earns(till: Till, shop: Shop, resources: Resources) -> None:
    own = await till.sell(participant_id=shop.second.id)
    assert own["commissions"] == []
    assert [(part["level"], part["reason"]) for part in own["explanation"]] == [(1, "no_inviter"), (2, "no_inviter")]
    async with resources.db.tenant(shop.merchant_id) as session:
        first = await session.get_one(Participant, (shop.merchant_id, shop.first.id))
        first.is_promoter = False
    order = await till.sell()
    assert [part["reason"] for part in order["explanation"]] == ["not_promoter", None]
    assert [row["level"] for row in order["commissions"]] == [2]
    await till.check_books()


@pytest.mark.parametrize(("days", "reasons"), [(1, [None, None]), (-1, ["binding_ended", "binding_ended"])])
async def test_a_binding_pays_until_it_ends(
    till: Till, shop: Shop, resources: Resources, days: int, reasons: list[str | None]
) -> None:
    async with resources.db.tenant(shop.merchant_id) as session:
        referral = Referral(
            merchant_id=shop.merchant_id,
            id=ids.new("ref"),
            campaign_id=shop.campaign.id,
            inviter_id=shop.first.id,
            invitee_id=shop.buyer.id,
            bound_at=clock.utcnow() - clock.days(30),
            binding_ends_at=clock.utcnow() + clock.days(days),
            new_member=True,
            decision={},
        )
        session.add(referral)
    order = await till.sell()
    assert [part["reason"] for part in order["explanation"]] == reasons
    assert len(order["commissions"]) == 2 - 2 * (days < 0)


async def test_fixed_sums_are_cut_by_the_cap(
    till: Till, resources: Resources, merchant: MerchantFixture, api: httpx.AsyncClient
) -> None:
    fixed = CommissionRule(
        levels=(CommissionLevel(level=1, amount_minor=2_000), CommissionLevel(level=2, amount_minor=2_000))
    )
    other = Till(api, resources, await open_shop(resources, merchant, commission=fixed))
    order = await other.sell()
    assert [row["amount_minor"] for row in order["commissions"]] == [2_000, 950]
    assert order["explanation"][1]["reason"] == "rate_cap"


async def test_a_hold_of_zero_days_is_payable_at_once(
    till: Till, resources: Resources, merchant: MerchantFixture, api: httpx.AsyncClient
) -> None:
    rule = CommissionRule(levels=(CommissionLevel(level=1, rate_bps=1_000),), hold_days=0)
    other = Till(api, resources, await open_shop(resources, merchant, commission=rule))
    order = await other.sell()
    assert [row["status"] for row in order["commissions"]] == ["payable"]
    assert await other.balance(other.shop.first) == (0, 590)
    await other.check_books()


async def test_the_same_order_again_is_the_first_one(till: Till, shop: Shop) -> None:
    body = shop.order(lines=LINES)
    first = await till.post("/v1/orders", body)
    again = await till.post("/v1/orders", {**body, "lines": LINES[::-1]})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert await till.balance(shop.first) == (1_770, 0)


@pytest.mark.parametrize(
    "change", [{"amount_minor": 5_901}, {"shipping_minor": 1}, {"metadata": {"a": 1}}, {"paid_at": "2026-01-01T00:00Z"}]
)
async def test_other_content_under_the_same_id_is_refused(till: Till, shop: Shop, change: dict[str, Any]) -> None:
    body = shop.order()
    await till.post("/v1/orders", body)
    again = await till.post("/v1/orders", {**body, **change})
    assert (again.status_code, again.json()["code"]) == (409, "external_order_id_reused")


async def test_twenty_of_the_same_order_at_once_make_one(till: Till, shop: Shop, resources: Resources) -> None:
    body = shop.order()
    answers = await asyncio.gather(*(till.post("/v1/orders", body) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    async with resources.db.tenant(shop.merchant_id) as session:
        count = select(func.count()).select_from(Commission).where(Commission.merchant_id == shop.merchant_id)
        assert await session.scalar(count) == 2
    await till.check_books()


@pytest.mark.parametrize(
    ("change", "status", "code", "pointer"),
    [
        ({"currency": "USD"}, 422, "currency_mismatch", "/currency"),
        ({"lines": LINES[:1]}, 422, "lines_sum_mismatch", "/lines"),
        ({"lines": [LINES[0], {**LINES[1], "external_line_id": "a"}]}, 422, "line_repeated", "/lines"),
        ({"paid_at": "2100-01-01T00:00:00Z"}, 422, "paid_at_in_future", "/paid_at"),
        ({"paid_at": "2026-01-01T00:00:00"}, 422, "validation_failed", "/paid_at"),
        ({"amount_minor": 0}, 422, "validation_failed", "/amount_minor"),
        ({"amount_minor": -5}, 422, "validation_failed", "/amount_minor"),
        ({"amount_minor": 59.5}, 422, "validation_failed", "/amount_minor"),
        ({"amount_minor": "5900"}, 422, "validation_failed", "/amount_minor"),
        ({"participant_id": None}, 422, "validation_failed", ""),
        ({"participant_id": "nobody"}, 422, "validation_failed", "/participant_id"),
        ({"participant_id": ids.new("ptc")}, 404, "participant_not_found", None),
        ({"participant_id": None, "member_id": ids.new("mbr")}, 404, "member_not_found", None),
        ({"campaign_id": ids.new("cmp")}, 404, "campaign_not_found", None),
        ({"comment": "hello"}, 422, "validation_failed", "/comment"),
    ],
)
async def test_what_does_not_fit_is_refused_by_name(
    till: Till, shop: Shop, change: dict[str, Any], status: int, code: str, pointer: str | None
) -> None:
    answer = await till.post("/v1/orders", shop.order(**change))
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code)
    assert pointer is None or problem["errors"][0]["pointer"] == pointer
    assert (await till.get("/v1/orders"))["data"] == []


async def test_a_clock_a_little_ahead_is_forgiven(till: Till) -> None:
    await till.sell(paid_at=(clock.utcnow() + timedelta(minutes=4)).isoformat())


async def test_a_participant_of_another_campaign_does_not_buy_here(
    till: Till, shop: Shop, resources: Resources
) -> None:
    async with resources.db.tenant(shop.merchant_id) as session:
        stranger = await make_participant(session, await make_campaign(session, shop.merchant_id))
    for buyer in ({"participant_id": stranger.id}, {"participant_id": None, "member_id": stranger.member_id}):
        answer = await till.post("/v1/orders", shop.order(**buyer))
        assert (answer.status_code, answer.json()["code"]) == (404, "participant_not_found")


async def test_a_key_is_asked_for(api: httpx.AsyncClient, shop: Shop) -> None:
    answer = await api.post("/v1/orders", json=shop.order())
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_missing")


@pytest.mark.parametrize(
    ("state", "paid_days_ago", "status", "code"),
    [
        ({"status": "draft"}, 0, 409, "campaign_not_active"),
        ({"status": "scheduled", "starts_at": clock.utcnow() + clock.days(1)}, 0, 409, "campaign_not_active"),
        ({"status": "paused"}, 0, 201, None),
        ({"status": "ended", "ended_at": clock.utcnow() - clock.days(1)}, 2, 201, None),
        ({"status": "ended", "ended_at": clock.utcnow() - clock.days(1)}, 0, 409, "campaign_ended"),
        ({"status": "settled", "ended_at": clock.utcnow() - clock.days(1)}, 2, 409, "campaign_ended"),
        ({"starts_at": clock.utcnow() - clock.days(1)}, 2, 409, "campaign_not_active"),
        ({"starts_at": clock.utcnow() - clock.days(3)}, 2, 201, None),
    ],
)
async def test_the_campaigns_state_decides(
    api: httpx.AsyncClient,
    resources: Resources,
    merchant: MerchantFixture,
    state: dict[str, Any],
    paid_days_ago: int,
    status: int,
    code: str | None,
) -> None:
    shop = await open_shop(resources, merchant, **{"starts_at": clock.utcnow() - clock.days(3), **state})
    paid_at = clock.utcnow() - clock.days(paid_days_ago) - timedelta(minutes=1)
    answer = await Till(api, resources, shop).post("/v1/orders", shop.order(paid_at=paid_at.isoformat()))
    assert answer.status_code == status, answer.text
    assert code is None or answer.json()["code"] == code


async def test_an_order_is_repeated_after_the_campaign_ended(till: Till, shop: Shop, resources: Resources) -> None:
    body = shop.order()
    first = await till.post("/v1/orders", body)
    async with resources.db.tenant(shop.merchant_id) as session:
        campaign = await session.get_one(Campaign, (shop.merchant_id, shop.campaign.id))
        campaign.status, campaign.ended_at = "settled", clock.utcnow()
    again = await till.post("/v1/orders", body)
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])


async def test_paid_orders_are_recorded_past_the_stock_and_shown_as_oversold(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    till = Till(api, resources, await open_shop(resources, merchant, stock=3))
    answers = await asyncio.gather(*(till.post("/v1/orders", till.shop.order()) for _ in range(8)))
    assert [answer.status_code for answer in answers] == [201] * 8
    assert await _left(till) == (0, 5)
    for answer in answers[:6]:  # what comes back fills the hole first
        refund = {"external_refund_id": ids.new("ext"), "amount_minor": answer.json()["amount_minor"]}
        assert (await till.post(f"/v1/orders/{answer.json()['id']}/refunds", refund)).status_code == 201
    assert await _left(till) == (1, 0)


async def test_stock_comes_back_with_the_last_fen_only(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    till = Till(api, resources, await open_shop(resources, merchant, stock=3))
    order = await till.sell()
    await till.refund(order["id"], order["amount_minor"] - 1)
    assert await _left(till) == (2, 0)
    await till.refund(order["id"], 1)
    assert await _left(till) == (3, 0)


async def _left(till: Till) -> tuple[int, int]:
    campaign = await till.get(f"/v1/campaigns/{till.shop.campaign.id}")
    return campaign["product"]["stock"], campaign["oversold"]


async def test_an_id_of_ours_is_no_order_that_is_reported(till: Till, shop: Shop) -> None:
    answer = await till.post("/v1/orders", shop.order(external_order_id=ids.new("ord")))
    assert (answer.status_code, answer.json()["code"]) == (422, "external_order_id_reserved")


async def test_orders_are_listed_by_filter(till: Till, shop: Shop) -> None:
    first, second = await till.sell(), await till.sell(participant_id=shop.first.id)
    assert [row["id"] for row in (await till.get("/v1/orders"))["data"]] == [second["id"], first["id"]]
    named = await till.get("/v1/orders", external_order_id=first["external_order_id"])
    assert named["data"] == [first]
    assert (await till.get("/v1/orders", status="refunded"))["data"] == []
    assert len((await till.get("/v1/orders", campaign_id=shop.campaign.id, limit=1))["data"]) == 1
    assert await till.get(f"/v1/orders/{first['id']}") == first


async def test_another_merchants_order_does_not_exist(till: Till, live_api: httpx.AsyncClient) -> None:
    order = await till.sell()
    for order_id in (order["id"], "ord_nonsense", ids.new("ord")):
        answer = await live_api.get(f"/v1/orders/{order_id}")
        assert (answer.status_code, answer.json()["code"]) == (404, "order_not_found")


async def test_what_happened_is_owed_to_the_outbox(till: Till, shop: Shop, resources: Resources) -> None:
    order = await till.sell()
    async with resources.db.tenant(shop.merchant_id) as session:
        events = (await session.scalars(select(OutboxEvent).order_by(OutboxEvent.id))).all()
    assert sorted(event.type for event in events) == ["commission.held", "commission.held", "order.paid"]
    paid = next(event for event in events if event.type == "order.paid")
    assert paid.data["id"] == order["id"]
    assert [row["amount_minor"] for row in paid.data["commissions"]] == [1_770, 590]


async def test_the_rule_is_copied_onto_the_order(till: Till, shop: Shop, resources: Resources) -> None:
    order = await till.sell()
    async with resources.db.tenant(shop.merchant_id) as session:
        row = await session.get_one(Order, (shop.merchant_id, order["id"]))
    assert [level["rate_bps"] for level in row.rule["levels"]] == [3_000, 1_000]
