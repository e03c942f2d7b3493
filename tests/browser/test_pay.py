"""Paying, as a phone shows it."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from app.h5.pay import SCRIPT
from app.kit import clock
from app.orders import selling
from app.orders.selling import Wish
from app.resources import Resources
from tests.factories import MerchantFixture
from tests.factories.shops import make_shop

LEAST_TARGET = 44


async def test_a_checkout_is_paid_at_the_cashier(
    resources: Resources, merchant: MerchantFixture, site: str, page: Page, faults: list[str]
) -> None:
    async with resources.db.tenant(merchant.test_id) as session:
        shop = await make_shop(session, merchant.test_id)
        checkout = await selling.sell(
            session,
            merchant_id=merchant.test_id,
            wish=Wish(shop.campaign.id, participant_id=shop.buyer.id, quantity=100),
            provider="sandbox",
            now=clock.utcnow(),
        )
    await page.goto(f"{site}/h5/pay/{checkout.id}")
    await _fits(page)
    await page.get_by_role("button", name="去支付 ¥5,900.00").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("模拟收银台")
    await _fits(page)
    await page.get_by_role("button", name="支付", exact=True).click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("支付成功")
    await _fits(page)
    assert not faults


@pytest.mark.parametrize("phone", [True], indirect=True, ids=["with-javascript"])
async def test_wechats_own_script_is_called_once_it_is_there(page: Page, faults: list[str]) -> None:
    await page.set_content("<button id=pay data-call='[1]' data-back='#paid'>x</button>")
    await page.evaluate(SCRIPT)
    await page.evaluate(
        """() => {
            window.WeixinJSBridge = {invoke: (name, call, done) => {
                document.title = name + call[0]; done({err_msg: "get_brand_wcpay_request:ok"}); }};
            document.dispatchEvent(new Event("WeixinJSBridgeReady"));
        }"""
    )
    assert await page.title() == "getBrandWCPayRequest1"
    await page.wait_for_url("**#paid")
    assert not faults


async def _fits(page: Page) -> None:
    await page.wait_for_load_state()
    assert await page.evaluate("document.documentElement.scrollWidth") <= 375
    for button in await page.locator(".button").all():
        box = await button.bounding_box()
        assert box is not None
        assert box["height"] >= LEAST_TARGET
