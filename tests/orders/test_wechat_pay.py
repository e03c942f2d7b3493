from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from app.kit import clock, ids, outward
from app.kit.errors import Unauthorized, Unavailable
from app.models import Checkout
from app.orders import checkout as checkouts
from app.orders import paying, selling
from app.orders.providers.protocol import Payback, Payment, payment_key
from app.orders.providers.wechat import LONGEST_TITLE, WechatPay
from app.orders.selling import Wish
from app.resources import Resources
from app.worker import checkouts as worker
from tests.factories import MerchantFixture
from tests.factories.locks import until_blocked
from tests.factories.rsa_keys import key_pair
from tests.factories.shops import make_shop
from tests.factories.wechat_pay import WechatPayFake, by_wechat, save_wechat_pay, wechat_pay_settings

MERCHANT = ids.new("mch")


@pytest.fixture
def fake() -> WechatPayFake:
    return WechatPayFake()


@pytest.fixture
async def pay(fake: WechatPayFake) -> AsyncIterator[WechatPay]:
    async with fake.client() as client:
        yield WechatPay(MERCHANT, fake.settings, client)


def payment(**changes: Any) -> Payment:
    given = Payment(
        payment_key(ids.new("ord")),
        "案例集 + 年度会员",
        5_900,
        "CNY",
        clock.utcnow() + timedelta(minutes=15),
        notify_url="https://t.invitree.cn/v1/payment-notifications/wechat/x",
        return_url="https://t.invitree.cn/h5/pay/x",
        openid="oUpF8uMuAJO_M2pxb1Q9zNjWeS6o",
    )
    return replace(given, **changes)


async def test_in_wechat_the_page_gets_a_signed_call(pay: WechatPay) -> None:
    start = await pay.start(payment(), "jsapi")
    assert start.url is None
    assert start.call is not None
    call = start.call
    signed = "".join(f"{call[name]}\n" for name in ("appId", "timeStamp", "nonceStr", "package")).encode()
    signature = base64.b64decode(call["paySign"])
    key_pair("merchant").public_key().verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
    assert (call["signType"], call["package"]) == ("RSA", "prepay_id=wx201410272009395522657a690389285100")


async def test_in_a_browser_the_page_leads_to_wechat_and_back(pay: WechatPay) -> None:
    start = await pay.start(payment(payer_address="14.23.150.211"), "h5")
    assert start.url is not None
    assert start.url.startswith("https://wx.tenpay.com/")
    assert start.url.endswith("&redirect_url=https%3A%2F%2Ft.invitree.cn%2Fh5%2Fpay%2Fx")


@pytest.mark.parametrize("title", ["年度会员" * 30, "a" * 127 + "é", "x" * 126 + "会员", "🌸" * 120])
async def test_a_title_is_cut_by_bytes_and_never_within_a_character(
    pay: WechatPay, fake: WechatPayFake, title: str
) -> None:
    wanted = payment(title=title)
    await pay.start(wanted, "h5")
    told = fake.trades[wanted.key]["description"]
    assert title.startswith(told)
    assert len(told.encode()) > LONGEST_TITLE - 4


async def test_what_became_of_a_payment_is_asked(pay: WechatPay, fake: WechatPayFake) -> None:
    wanted = payment()
    assert (await pay.query(wanted.key)).state == "not_found"
    await pay.start(wanted, "jsapi")
    assert (await pay.query(wanted.key)).state == "waiting"
    fake.pay(wanted.key)
    paid = await pay.query(wanted.key)
    assert (paid.state, paid.amount_minor, paid.currency, paid.is_ours) == ("paid", 5_900, "CNY", True)
    assert paid.paid_at == datetime(2026, 11, 22, 1, tzinfo=UTC)
    assert paid.checkout_id.startswith("ord_")


async def test_what_is_closed_is_not_paid_any_more(pay: WechatPay, fake: WechatPayFake) -> None:
    open_, paid = payment(), payment()
    await pay.start(open_, "h5")
    await pay.start(paid, "h5")
    fake.pay(paid.key)
    await pay.close(open_.key)
    await pay.close(paid.key)
    assert [(await pay.query(one.key)).state for one in (open_, paid)] == ["closed", "paid"]


async def test_what_nobody_paid_is_closed_at_its_end_and_asked_after_no_more(
    resources: Resources, merchant: MerchantFixture, live_api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = WechatPayFake()
    await save_wechat_pay(live_api, fake)
    checkout = await by_wechat(resources, merchant)
    key = fake.begun(checkout)
    monkeypatch.setattr(outward, "new_client", lambda _: fake.client())
    async with resources.db.tenant(merchant.live_id) as session:
        held = await checkouts.hold(session, merchant_id=merchant.live_id, checkout_id=checkout.id)
        held.way, held.started_at = "h5", held.created_at
        held.expires_at = held.due_at = clock.utcnow()
    while await worker.follow_checkouts(resources):
        pass
    async with resources.db.tenant(merchant.live_id) as session:
        seen = await checkouts.get(session, merchant_id=merchant.live_id, checkout_id=checkout.id)
    assert (seen.status, seen.due_at, fake.trades[key]["trade_state"]) == ("expired", None, "CLOSED")


async def test_a_refund_is_asked_for_until_it_is_there(pay: WechatPay, fake: WechatPayFake) -> None:
    wanted = payment()
    await pay.start(wanted, "h5")
    fake.pay(wanted.key)
    states = [await pay.refund(Payback(wanted.key, "ivtr1", 2_900, 5_900, "CNY", "商家退款")) for _ in range(2)]
    assert states == ["processing", "refunded"]


async def test_errors_decide_nothing(pay: WechatPay, fake: WechatPayFake) -> None:
    fake.error = (500, "SYSTEM_ERROR")
    assert (await pay.query("ivt0")).state == "unknown"
    assert await pay.refund(Payback("ivt0", "ivtr1", 1, 1, "CNY", "商家退款")) == "unknown"
    with pytest.raises(Unavailable):
        await pay.start(payment(), "h5")


async def test_an_answer_that_anybody_could_have_signed_is_none(pay: WechatPay, fake: WechatPayFake) -> None:
    wanted = payment()
    await pay.start(wanted, "h5")
    fake.forge = True
    with pytest.raises(Exception, match="failed to verify the signature"):
        await pay.query(wanted.key)


async def test_notifications_are_verified_and_opened(pay: WechatPay, fake: WechatPayFake) -> None:
    wanted = payment()
    await pay.start(wanted, "h5")
    fake.pay(wanted.key)
    headers, body = fake.notification(wanted.key)
    notice = pay.read(_as_served(headers), body)
    assert (notice.state, notice.key, notice.amount_minor) == ("paid", wanted.key, 5_900)
    others = fake.notification(wanted.key, mchid="1900000110")
    assert not pay.read(_as_served(others[0]), others[1]).is_ours


@pytest.mark.parametrize(
    "spoil",
    [
        {"Wechatpay-Signature": "AAAA"},
        {"Wechatpay-Signature": "no base64"},
        {"Wechatpay-Serial": "5157F09EFDC096DE15EBE81A47057A7232F1B8E1"},
        {"Wechatpay-Timestamp": "1700000000"},
        {"Wechatpay-Signature-Type": "WECHATPAY2-SM2-WITH-SM3"},
    ],
    ids=["signature", "base64", "serial", "old", "algorithm"],
)
async def test_what_wechat_did_not_sign_is_refused(pay: WechatPay, fake: WechatPayFake, spoil: dict[str, str]) -> None:
    wanted = payment()
    await pay.start(wanted, "h5")
    headers, body = fake.notification(wanted.key)
    with pytest.raises(Unauthorized):
        pay.read(_as_served(headers | spoil), body)
    assert not any("certificates" in call for call in fake.calls)


async def test_what_another_key_encrypted_is_refused(pay: WechatPay, fake: WechatPayFake) -> None:
    wanted = payment()
    await pay.start(wanted, "h5")
    fake.settings = wechat_pay_settings(api_v3_key="f" * 32)
    headers, body = fake.notification(wanted.key)
    with pytest.raises(Unauthorized):
        pay.read(_as_served(headers), body)


async def test_a_live_merchant_sells_by_its_own_account(
    live_api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, fake: WechatPayFake
) -> None:
    saved = await live_api.put("/v1/payment-providers/wechat", json=_body(fake))
    assert saved.json()["settings"] == {
        "mch_id": "1900000109",
        "app_id": "wxf636efh567hg4356",
        "serial_no": fake.settings.serial_no,
        "public_key_id": fake.settings.public_key_id,
        "private_key": "set",
        "api_v3_key": "set",
        "app_secret": "missing",
    }
    checkout = await _sold(resources, merchant.live_id)
    async with fake.client() as client:
        pay = WechatPay(merchant.live_id, fake.settings, client)
        await pay.start(payment(key=payment_key(checkout.id)), "h5")
    fake.pay(payment_key(checkout.id))
    headers, body = fake.notification(payment_key(checkout.id))
    for _ in range(2):
        answer = await live_api.post(
            f"/v1/payment-notifications/wechat/{merchant.live_id}", content=body, headers=headers
        )
        assert (answer.status_code, answer.json()["code"]) == (200, "SUCCESS")
    assert (await live_api.get(f"/v1/orders/{checkout.id}")).json()["status"] == "paid"
    others = fake.notification(payment_key(checkout.id), amount={"total": 1, "currency": "CNY"})
    answer = await live_api.post(
        f"/v1/payment-notifications/wechat/{merchant.live_id}", content=others[1], headers=others[0]
    )
    assert (answer.status_code, answer.json()) == (409, {"code": "FAIL", "message": "amount_mismatch"})


async def test_the_account_stays_while_payments_to_it_are_under_way(
    live_api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, fake: WechatPayFake
) -> None:
    assert (await live_api.put("/v1/payment-providers/wechat", json=_body(fake))).status_code == 200
    checkout = await _sold(resources, merchant.live_id)
    async with resources.db.tenant(merchant.live_id) as session:
        (await session.get_one(Checkout, (merchant.live_id, checkout.id))).started_at = clock.utcnow()
    same = await live_api.put("/v1/payment-providers/wechat", json=_body(fake) | {"serial_no": "X"})
    other = await live_api.put("/v1/payment-providers/wechat", json=_body(fake) | {"mch_id": "1"})
    assert (same.status_code, other.status_code, other.json()["code"]) == (200, 409, "payment_provider_in_use")


async def test_an_account_that_changes_while_somebody_begins_to_pay_waits_for_it(
    live_api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, fake: WechatPayFake
) -> None:
    assert (await live_api.put("/v1/payment-providers/wechat", json=_body(fake))).status_code == 200
    checkout = await _sold(resources, merchant.live_id)
    wanted: dict[str, Any] = {"merchant_id": merchant.live_id, "checkout_id": checkout.id, "now": clock.utcnow()}
    wanted |= {"in_wechat": False, "public_url": "https://t.invitree.cn", "payer_address": "127.0.0.1"}
    async with resources.db.tenant(merchant.live_id) as session:
        assert (await paying.begin(session, **wanted)).row is not None
        changes = live_api.put("/v1/payment-providers/wechat", json=_body(fake) | {"mch_id": "1"})
        change = asyncio.create_task(changes)
        await until_blocked(resources, change)
    assert (await change).json()["code"] == "payment_provider_in_use"


async def test_the_account_stays_until_its_refunds_are_there(
    live_api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, fake: WechatPayFake
) -> None:
    assert (await live_api.put("/v1/payment-providers/wechat", json=_body(fake))).status_code == 200
    checkout = await _sold(resources, merchant.live_id)
    async with fake.client() as client:
        await WechatPay(merchant.live_id, fake.settings, client).start(payment(key=payment_key(checkout.id)), "h5")
    fake.pay(payment_key(checkout.id))
    headers, body = fake.notification(payment_key(checkout.id))
    await live_api.post(f"/v1/payment-notifications/wechat/{merchant.live_id}", content=body, headers=headers)
    made = await live_api.post(
        f"/v1/orders/{checkout.id}/refunds",
        json={"external_refund_id": ids.new("ext"), "amount_minor": 1},
        headers={"Idempotency-Key": ids.new("key")},
    )
    assert (made.status_code, made.json()["payback"]) == (201, "due")
    other = await live_api.put("/v1/payment-providers/wechat", json=_body(fake) | {"mch_id": "1"})
    assert other.json()["code"] == "payment_provider_in_use"


async def test_a_key_that_cannot_be_read_is_refused(live_api: httpx.AsyncClient, fake: WechatPayFake) -> None:
    answer = await live_api.put("/v1/payment-providers/wechat", json=_body(fake) | {"public_key": "x"})
    assert (answer.status_code, answer.json()["code"]) == (422, "payment_provider_key_invalid")
    assert answer.json()["errors"][0]["pointer"] == "/public_key"


def _as_served(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _body(fake: WechatPayFake) -> dict[str, str]:
    names = ("mch_id", "app_id", "serial_no", "private_key", "api_v3_key", "public_key_id", "public_key")
    return {name: getattr(fake.settings, name) for name in names}


async def _sold(resources: Resources, merchant_id: str) -> Checkout:
    async with resources.db.tenant(merchant_id) as session:
        shop = await make_shop(session, merchant_id)
        wish = Wish(shop.campaign.id, participant_id=shop.buyer.id)
        return await selling.sell(session, merchant_id=merchant_id, wish=wish, provider="wechat", now=clock.utcnow())
