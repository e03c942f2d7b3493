"""Notices that their provider has signed and that make no sense: each is refused or set aside, and moves nothing."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from app.kit import clock
from app.models import Checkout
from app.orders.providers import sandbox_notices
from app.orders.providers.protocol import payment_key
from app.resources import Resources
from tests.factories import MerchantFixture
from tests.factories.checkouts import Desk
from tests.factories.shops import Shop, open_shop
from tests.factories.wechat_pay import WechatPayFake, by_wechat, save_wechat_pay

LONG = "x" * 10_000
ODD: dict[str, Any] = {
    "nul": "a\0b",
    "long": LONG,
    "negative": -1,
    "float": 5_900.5,
    "whole float": 5_900.0,
    "big": 2**63,
    "bigger": 10**30,
    "true": True,
    "null": None,
    "empty": "",
    "list": [],
    "object": {"a": {}},
    "half": "\ud83d",
    "line": "CNY\n",
    "early": "0001-01-01T00:00:00+08:00",
    "no zone": "2026-11-22T09:00:00",
}
FIELDS = ("out_trade_no", "trade_state", "transaction_id", "success_time", "amount", "total", "currency")
MISSING = object()


@pytest.fixture
async def shop(resources: Resources, merchant: MerchantFixture) -> Shop:
    return await open_shop(resources, merchant, stock=5)


@pytest.fixture
def desk(resources: Resources, shop: Shop) -> Desk:
    return Desk(resources, shop)


def spoilt(trade: dict[str, Any], field: str, value: Any) -> dict[str, Any]:
    """A copy with one field in place of what is right; the amount's own ones, too."""
    within = field in {"total", "currency"}
    part = {**(trade["amount"] if within else trade), field: value}
    if value is MISSING:
        del part[field]
    return {**trade, "amount": part} if within else part


def odd(trade: dict[str, Any]) -> list[dict[str, Any]]:
    return [spoilt(trade, field, value) for field in FIELDS for value in (*ODD.values(), MISSING)]


def is_harmless(trade: dict[str, Any]) -> bool:
    """Of a time that cannot have been, the books take the nearest that can."""
    return bool(trade.get("success_time") == ODD["early"])


def _trade(checkout: Checkout) -> dict[str, Any]:
    return {
        "merchant_id": checkout.merchant_id,
        "out_trade_no": payment_key(checkout.id),
        "trade_state": "SUCCESS",
        "transaction_id": "SANDBOX1",
        "success_time": clock.utcnow().isoformat(),
        "amount": {"total": 5_900, "currency": "CNY"},
    }


async def test_the_cashiers_odd_fields_move_nothing(http: httpx.AsyncClient, desk: Desk) -> None:
    checkout = await desk.open()
    address = f"/v1/payment-notifications/sandbox/{desk.merchant_id}"
    for trade in odd(_trade(checkout)):
        if is_harmless(trade):
            continue
        try:
            headers, body = sandbox_notices.sign(desk.merchant_id, trade)
        except UnicodeEncodeError:
            continue  # which JSON of the cashier's cannot hold
        answer = await http.post(address, headers=headers | {"content-type": "text/plain"}, content=body)
        assert (answer.status_code, answer.json()["message"]) == (409, "notification_unreadable"), trade
    assert [await desk.count(table) for table in ("orders", "payment_notices")] == [0, 0]
    assert (await desk.look(checkout)).status == "open"


async def test_wechats_odd_fields_move_nothing(
    live_api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    fake = WechatPayFake()
    await save_wechat_pay(live_api, fake)
    checkout = await by_wechat(resources, merchant)
    key = fake.begun(checkout)
    fake.pay(key)
    trade, address = fake.shown(key), f"/v1/payment-notifications/wechat/{merchant.live_id}"
    for each in odd(trade):
        if is_harmless(each):
            continue
        headers, body = fake.telling(each)
        answer = await live_api.post(address, headers=headers, content=body)
        assert (answer.status_code, answer.json()["message"]) == (409, "notification_unreadable"), each
    async with resources.db.tenant(merchant.live_id) as session:
        assert (await session.get_one(Checkout, (merchant.live_id, checkout.id))).status == "open"
    assert (await live_api.get("/v1/payment-notices")).json()["data"] == []
    headers, body = fake.telling(trade)
    assert (await live_api.post(address, headers=headers, content=body)).status_code == 200


@pytest.mark.parametrize("whose", [{"mchid": LONG}, {"mchid": "a\0b"}, {"appid": 5}, {"mchid": None}])
async def test_an_account_that_is_none_is_somebody_elses(
    live_api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, whose: dict[str, Any]
) -> None:
    fake = WechatPayFake()
    await save_wechat_pay(live_api, fake)
    checkout = await by_wechat(resources, merchant)
    key = fake.begun(checkout)
    fake.pay(key)
    headers, body = fake.telling(fake.shown(key) | whose)
    address = f"/v1/payment-notifications/wechat/{merchant.live_id}"
    answer = await live_api.post(address, headers=headers, content=body)
    assert (answer.status_code, answer.json()["message"]) == (409, "merchant_mismatch")


@pytest.mark.parametrize("content", [[], "SUCCESS", 5, None])
async def test_what_holds_no_payment_is_refused(
    live_api: httpx.AsyncClient, merchant: MerchantFixture, content: Any
) -> None:
    fake = WechatPayFake()
    await save_wechat_pay(live_api, fake)
    headers, body = fake.telling(content)
    address = f"/v1/payment-notifications/wechat/{merchant.live_id}"
    answer = await live_api.post(address, headers=headers, content=body)
    assert (answer.status_code, answer.json()["message"]) == (409, "notification_unreadable")


async def test_a_payment_that_cannot_have_been_so_early_is_taken_for_now(http: httpx.AsyncClient, desk: Desk) -> None:
    checkout = await desk.open()
    headers, body = sandbox_notices.sign(
        desk.merchant_id, _trade(checkout) | {"success_time": "1000-01-01T00:00:00+08:00"}
    )
    answer = await http.post(f"/v1/payment-notifications/sandbox/{desk.merchant_id}", headers=headers, content=body)
    assert answer.status_code == 200
    assert (await desk.look(checkout)).paid_at == desk.shop.campaign.starts_at


async def test_one_payment_pays_for_one_checkout(http: httpx.AsyncClient, desk: Desk) -> None:
    first, second = await desk.open(), await desk.open()
    answers = []
    for checkout in (first, second):
        headers, body = sandbox_notices.sign(desk.merchant_id, _trade(checkout))
        address = f"/v1/payment-notifications/sandbox/{desk.merchant_id}"
        answers.append((await http.post(address, headers=headers, content=body)).json()["message"])
    assert answers == ["SUCCESS", "payment_used"]
    assert ((await desk.look(second)).status, await desk.count("orders")) == ("open", 1)
