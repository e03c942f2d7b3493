"""A refund goes by the account that took the payment; where that is gone it is parked, and waits."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.kit import clock, ids, outward
from app.models import Checkout
from app.orders import paying
from app.resources import Resources
from app.worker import refunds as worker
from tests.factories import MerchantFixture
from tests.factories.wechat_pay import WechatPayFake, by_wechat, save_wechat_pay, wechat_pay_settings

OTHER = {"mch_id": "1900000110", "app_id": "wx0000000000000000"}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> WechatPayFake:
    made = WechatPayFake()
    monkeypatch.setattr(outward, "new_client", lambda _: made.client())
    return made


@pytest.fixture
async def sold(
    live_api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, fake: WechatPayFake
) -> Checkout:
    """By the first account, for 59.00 yuan; told by its notification."""
    await save_wechat_pay(live_api, fake)
    checkout = await by_wechat(resources, merchant)
    await _begin(resources, checkout)
    key = fake.begun(checkout)
    fake.pay(key)
    headers, body = fake.notification(key)
    address = f"/v1/payment-notifications/wechat/{merchant.live_id}"
    assert (await live_api.post(address, headers=headers, content=body)).status_code == 200
    return checkout


async def _begin(resources: Resources, checkout: Checkout) -> None:
    async with resources.db.tenant(checkout.merchant_id) as session:
        await paying.begin(
            session,
            merchant_id=checkout.merchant_id,
            checkout_id=checkout.id,
            in_wechat=False,
            public_url="https://t.invitree.cn",
            payer_address="127.0.0.1",
            now=clock.utcnow(),
        )


async def _change(live_api: httpx.AsyncClient, **settings: str) -> httpx.Response:
    body = {name: getattr(wechat_pay_settings(**settings), name) for name in wechat_pay_settings().__slots__}
    return await live_api.put("/v1/payment-providers/wechat", json=body)


async def _refund(live_api: httpx.AsyncClient, checkout: Checkout, amount_minor: int = 2_000) -> str:
    body = {"external_refund_id": ids.new("ext"), "amount_minor": amount_minor}
    key = {"Idempotency-Key": ids.new("key")}
    answer = await live_api.post(f"/v1/orders/{checkout.id}/refunds", json=body, headers=key)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def _turn(resources: Resources, refund_id: str) -> None:
    async with resources.db.system() as session:
        due = text("UPDATE refunds SET due_at = now() - interval '1 second' WHERE id = :id AND due_at IS NOT NULL")
        await session.execute(due, {"id": ids.decode("rfd", refund_id)})
    await worker.pay_back(resources)


async def _shown(live_api: httpx.AsyncClient, refund_id: str) -> tuple[str, str | None]:
    found: dict[str, Any] = (await live_api.get(f"/v1/refunds/{refund_id}")).json()
    return found["payback"], found["payback_reason"]


async def test_a_part_is_parked_while_another_account_is_there_and_goes_by_its_own(
    live_api: httpx.AsyncClient, resources: Resources, fake: WechatPayFake, sold: Checkout
) -> None:
    assert (await _change(live_api, **OTHER)).status_code == 200
    refund = await _refund(live_api, sold)
    await _turn(resources, refund)
    assert await _shown(live_api, refund) == ("parked", "payment_account_changed")
    assert fake.calls["POST refunds"] == 0
    assert [one["id"] for one in (await live_api.get("/v1/refunds", params={"payback": "parked"})).json()["data"]] == [
        refund
    ]
    assert (await _change(live_api)).status_code == 200  # what is parked keeps nobody from going back
    for _ in range(2):
        await _turn(resources, refund)
    assert await _shown(live_api, refund) == ("refunded", None)
    assert fake.calls["POST refunds"] == 2


async def test_another_application_of_the_same_merchant_is_another_account(
    live_api: httpx.AsyncClient, resources: Resources, fake: WechatPayFake, sold: Checkout
) -> None:
    await _change(live_api, app_id=OTHER["app_id"])
    refund = await _refund(live_api, sold)
    await _turn(resources, refund)
    assert (await _shown(live_api, refund), fake.calls["POST refunds"]) == (("parked", "payment_account_changed"), 0)


async def test_new_keys_of_the_same_account_do(
    live_api: httpx.AsyncClient, resources: Resources, fake: WechatPayFake, sold: Checkout
) -> None:
    fake.settings = wechat_pay_settings(serial_no="5157F09EFDC096DE15EBE81A47057A7232F1B8E1")
    await save_wechat_pay(live_api, fake)
    refund = await _refund(live_api, sold)
    await _turn(resources, refund)
    assert (await _shown(live_api, refund))[0] == "processing"


async def test_of_a_payment_before_accounts_were_written_down_newer_credentials_are_not_trusted(
    live_api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, fake: WechatPayFake, sold: Checkout
) -> None:
    async with resources.db.tenant(merchant.live_id) as session:
        (await session.get_one(Checkout, (merchant.live_id, sold.id))).provider_account = None
    first = await _refund(live_api, sold)
    await _turn(resources, first)
    assert (await _shown(live_api, first))[0] == "processing"
    await _turn(resources, first)
    await save_wechat_pay(live_api, fake)
    second = await _refund(live_api, sold)
    await _turn(resources, second)
    assert await _shown(live_api, second) == ("parked", "payment_account_changed")
