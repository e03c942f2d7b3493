from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app.kit import clock, ids
from app.kit.errors import Conflict
from app.ledger.verify import verify
from app.models import Campaign, Order
from app.resources import Resources
from tests.factories import MerchantFixture
from tests.factories.checkouts import Desk, notify, told
from tests.factories.shops import Shop, Till, open_shop


@pytest.fixture
async def shop(resources: Resources, merchant: MerchantFixture) -> Shop:
    return await open_shop(resources, merchant, stock=5)


@pytest.fixture
def desk(resources: Resources, shop: Shop) -> Desk:
    return Desk(resources, shop)


async def test_a_checkout_is_paid_and_becomes_the_order_of_its_id(till: Till, desk: Desk, shop: Shop) -> None:
    body = {"campaign_id": shop.campaign.id, "member_id": shop.buyer.member_id, "quantity": 2, "metadata": {"a": "b"}}
    opened = await till.post("/v1/checkouts", body)
    checkout = opened.json()
    assert (opened.status_code, checkout["status"], checkout["amount_minor"]) == (201, "open", 11_800)
    assert checkout["pay_url"] == f"https://t.invitree.cn/h5/pay/{checkout['id']}"
    assert await desk.left() == 3
    heard = await notify(till.api, told(desk.merchant_id, checkout["id"], amount_minor=11_800))
    assert (heard.status_code, heard.json()["code"]) == (200, "SUCCESS")
    order = await till.get(f"/v1/orders/{checkout['id']}")
    assert [row["amount_minor"] for row in order["commissions"]] == [3_540, 1_180]
    assert (order["external_order_id"], order["metadata"]) == (checkout["id"], {"a": "b"})
    assert (await till.get(f"/v1/checkouts/{checkout['id']}"))["status"] == "paid"
    assert await desk.left() == 3
    assert (await till.get("/v1/checkouts", status="paid"))["data"][0]["id"] == checkout["id"]


async def test_the_key_is_asked_for(api: httpx.AsyncClient, shop: Shop) -> None:
    body = {"campaign_id": shop.campaign.id, "participant_id": shop.buyer.id}
    assert (await api.post("/v1/checkouts", json=body)).json()["code"] == "idempotency_key_missing"


@pytest.mark.parametrize(
    ("campaign", "code"),
    [
        ({"stock": 0}, "out_of_stock"),
        ({"price_minor": 0}, "product_not_for_sale"),
        ({"product_name": None, "price_minor": None}, "product_not_for_sale"),
        ({"status": "ended"}, "campaign_ended"),
        ({"status": "draft"}, "campaign_not_active"),
    ],
    ids=["sold", "free", "no-product", "ended", "draft"],
)
async def test_what_cannot_be_sold_opens_no_checkout(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, campaign: dict[str, Any], code: str
) -> None:
    shop = await open_shop(resources, merchant, **campaign)
    body = {"campaign_id": shop.campaign.id, "participant_id": shop.buyer.id}
    answer = await Till(api, resources, shop).post("/v1/checkouts", body)
    assert (answer.status_code, answer.json()["code"]) == (409, code)


async def test_it_is_open_no_longer_than_its_campaign(resources: Resources, merchant: MerchantFixture) -> None:
    ends_at = clock.utcnow() + timedelta(minutes=4)
    desk = Desk(resources, await open_shop(resources, merchant, ends_at=ends_at))
    assert (await desk.open()).expires_at == ends_at


async def test_the_same_notification_again_changes_nothing(http: httpx.AsyncClient, desk: Desk) -> None:
    checkout = await desk.open()
    for _ in range(3):
        assert (await notify(http, told(desk.merchant_id, checkout.id))).status_code == 200
    assert (await desk.count("orders"), await desk.left()) == (1, 4)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"amount_minor": 5_899}, "amount_mismatch"),
        ({"amount_minor": 5_901}, "amount_mismatch"),
        ({"currency": "USD"}, "currency_mismatch"),
        ({"key": "ivt01h2xcejqtf2nbrexx3vqjhp41"}, "checkout_not_found"),
        ({"key": "nonsense"}, "checkout_not_found"),
    ],
    ids=["less", "more", "currency", "unknown", "nonsense"],
)
async def test_what_does_not_fit_is_set_aside_and_nothing_is_recorded(
    till: Till, desk: Desk, changes: dict[str, Any], code: str
) -> None:
    checkout = await desk.open()
    notice = told(desk.merchant_id, checkout.id, **changes)
    for _ in range(2):
        answer = await notify(till.api, notice)
        assert (answer.status_code, answer.json()) == (409, {"code": "FAIL", "message": code})
    assert ((await desk.look(checkout)).status, await desk.count("orders")) == ("open", 0)
    (parked,) = (await till.get("/v1/payment-notices"))["data"]
    assert (parked["code"], parked["times"], parked["amount_minor"]) == (code, 2, notice.amount_minor)


async def test_a_second_transaction_for_what_is_paid_is_set_aside(till: Till, desk: Desk) -> None:
    checkout = await desk.open()
    await desk.hear(checkout)
    with pytest.raises(Conflict) as refused:
        await desk.hear(checkout, external_id="ANOTHER")
    assert refused.value.code == "paid_twice"
    assert [one["code"] for one in (await till.get("/v1/payment-notices"))["data"]] == ["paid_twice"]


async def test_what_another_merchant_says_is_not_ours(
    http: httpx.AsyncClient, desk: Desk, merchant: MerchantFixture
) -> None:
    checkout = await desk.open()
    answer = await notify(http, told(merchant.live_id, checkout.id))
    assert (answer.status_code, answer.json()["message"]) == (409, "checkout_not_found")
    assert (await desk.look(checkout)).status == "open"


@pytest.mark.parametrize(
    "headers",
    [
        {"sandbox_signature": "0" * 64},
        {"sandbox_nonce": "another"},
        {"sandbox_timestamp": "1"},
        {"sandbox_timestamp": "x"},
    ],
    ids=["wrong", "nonce", "old", "no-time"],
)
async def test_what_is_not_signed_is_not_even_kept(
    http: httpx.AsyncClient, desk: Desk, headers: dict[str, str]
) -> None:
    checkout = await desk.open()
    notice = told(desk.merchant_id, checkout.id, amount_minor=1)
    answer = await notify(http, notice, **headers)
    assert (answer.status_code, answer.json()["message"]) == (401, "notification_signature_invalid")
    assert await desk.count("payment_notices") == 0


async def test_nobody_learns_which_merchants_there_are(http: httpx.AsyncClient, desk: Desk) -> None:
    for merchant_id in (ids.new("mch"), "nobody"):
        answer = await notify(http, told(merchant_id, ids.new("ord")))
        assert (answer.status_code, answer.json()["message"]) == (401, "notification_signature_invalid")


async def test_a_failed_payment_gives_its_stock_back(desk: Desk) -> None:
    checkout = await desk.open(quantity=2)
    assert await desk.left() == 3
    failed = await desk.hear(checkout, state="failed")
    assert (failed.status, failed.reason, await desk.left()) == ("failed", "payment_failed", 5)


async def test_a_payment_after_the_end_takes_stock_again(till: Till, desk: Desk) -> None:
    checkout = await desk.open()
    await till.post("/v1/test-clock", {"advance_seconds": 900})
    assert ((await desk.look(checkout)).status, await desk.left()) == ("expired", 5)
    later = clock.utcnow() + timedelta(seconds=901)
    assert ((await desk.hear(checkout, now=later)).status, await desk.left()) == ("paid", 4)
    assert (await till.get(f"/v1/orders/{checkout.id}"))["status"] == "paid"


async def test_a_payment_that_finds_nothing_left_is_to_be_refunded(till: Till, desk: Desk) -> None:
    checkout = await desk.open()
    later = clock.utcnow() + timedelta(seconds=901)
    await till.post("/v1/test-clock", {"advance_seconds": 900})
    await desk.open(quantity=5, now=later)
    paid = await desk.hear(checkout, now=later)
    assert (paid.status, paid.reason, await desk.left()) == ("refund_due", "out_of_stock", 0)
    assert [one["id"] for one in (await till.get("/v1/checkouts", status="refund_due"))["data"]] == [checkout.id]
    assert await desk.count("orders") == 0


async def test_a_payment_for_a_campaign_that_was_closed_meanwhile_is_to_be_refunded(desk: Desk) -> None:
    checkout = await desk.open()
    async with desk.resources.db.tenant(desk.merchant_id) as session:
        campaign = await session.get_one(Campaign, (desk.merchant_id, desk.shop.campaign.id))
        campaign.status, campaign.ended_at = "ended", clock.utcnow()
    paid = await desk.hear(checkout)
    assert (paid.status, paid.reason, await desk.left()) == ("refund_due", "campaign_ended", 5)


async def test_it_was_never_paid_before_its_campaign_began_nor_in_the_future(desk: Desk) -> None:
    early, late = await desk.open(), await desk.open()
    await desk.hear(early, paid_at=clock.utcnow() - timedelta(days=9))
    now = clock.utcnow()
    await desk.hear(late, paid_at=now + timedelta(days=9), now=now)
    async with desk.resources.db.tenant(desk.merchant_id) as session:
        paid_at = dict((await session.execute(select(Order.id, Order.paid_at))).tuples().all())
    assert (paid_at[early.id], paid_at[late.id]) == (desk.shop.campaign.starts_at, now)


async def test_what_customers_paid_is_there_to_pay_promoters_with(desk: Desk) -> None:
    checkout = await desk.open()
    await desk.hear(checkout)
    async with desk.resources.db.tenant(desk.merchant_id) as session:
        statement = "SELECT sum(e.amount_minor) FROM ledger_entries e JOIN ledger_accounts a ON a.id = e.account_id"
        funds = (await session.connection()).exec_driver_sql(f"{statement} WHERE a.kind = 'merchant_funds'")
        assert (await funds).scalar_one() == 5_900
        assert (await verify(session, merchant_id=desk.merchant_id)).clean


async def test_an_order_by_checkout_gives_all_its_pieces_back_when_refunded(till: Till, desk: Desk) -> None:
    checkout = await desk.open(quantity=2)
    await desk.hear(checkout, amount_minor=11_800)
    await till.refund(checkout.id, 11_800)
    assert await desk.left() == 5


async def test_the_button_leads_to_no_checkout_for_more_than_it_offers(desk: Desk) -> None:
    of_the_merchant = await desk.open(quantity=3)
    own = await desk.open(once=True)
    assert (own.quantity, own.amount_minor, own.id != of_the_merchant.id) == (1, 5_900, True)
    assert (await desk.open(once=True)).id == own.id
