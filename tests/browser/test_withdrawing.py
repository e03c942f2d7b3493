"""A participant withdraws on a phone: what cannot be pressed does not look as if it could."""

from __future__ import annotations

import httpx
from playwright.async_api import Page

from app.models import Participant
from app.payouts import terms
from app.payouts.rules import Terms
from app.resources import Resources
from tests.browser.test_pages import assert_fits
from tests.factories import MerchantFixture, make_campaign
from tests.factories.forms import new_phone
from tests.factories.payables import NOW, make_commission, make_user

PAINT = "element => getComputedStyle(element).backgroundColor"


async def test_the_button_says_why_it_cannot_be_pressed_and_what_it_costs(
    resources: Resources, merchant: MerchantFixture, api: httpx.AsyncClient, site: str, page: Page, faults: list[str]
) -> None:
    own, phone = merchant.test_id, new_phone()
    async with resources.db.tenant(own) as session:
        campaign, user = await make_campaign(session, own), await make_user(session, own)
        agreed = Terms(500, 20, 60, "payee")
        await terms.change(session, merchant_id=own, actor_id=user, terms=agreed, now=NOW)
    member = {"phone": phone, "openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"}
    made = await api.post(f"/v1/campaigns/{campaign.id}/participants", json={"member": member})
    await page.goto(f"{site}/h5/c/{campaign.id}/sign-in")
    await page.locator("input[name=phone]").fill(phone)
    await page.locator("button").first.click()
    await page.locator("input[name=code]").fill(await page.locator(".note b").inner_text())
    await page.locator("button").first.click()
    await page.goto(f"{site}/h5/me/{made.json()['id']}/withdraw")
    button = page.get_by_role("button", name="全部提现")
    grey = await button.evaluate(PAINT)
    assert await button.is_disabled()
    assert (
        await page.locator(f"#{await button.get_attribute('aria-describedby')}").inner_text()
        == "现在没有可以提现的金额"
    )
    await assert_fits(page)
    await page.locator("#account").fill("zhang@example.com")
    await page.locator("#real_name").fill("张小明")
    await page.get_by_role("button", name="保存账号").click()
    await page.get_by_text("z***@example.com").wait_for()
    await page.locator("#wechat_name").fill("张小明")
    await page.get_by_role("button", name="用我的微信收款").click()
    await page.get_by_text("微信零钱 张**").wait_for()
    async with resources.db.tenant(own) as session:
        await make_commission(session, await session.get_one(Participant, (own, made.json()["id"])), 1_770)
    await page.reload()
    assert (await button.is_enabled(), await button.evaluate(PAINT) != grey) == (True, True)
    await page.get_by_text("手续费 0.30 元，实际到账 17.40 元").wait_for()
    await button.click()
    await page.get_by_text("还有一笔提现没有完成").wait_for()
    assert await button.is_disabled()
    await assert_fits(page)
    await page.get_by_role("button", name="取消").click()
    await page.get_by_text("已取消").wait_for()
    assert (await button.is_enabled(), faults) == (True, [])
