"""The pages as a phone shows them."""

from __future__ import annotations

from playwright.async_api import Page

from app.resources import Resources
from tests.factories import MerchantFixture, make_campaign, make_participant
from tests.factories.forms import new_phone

# What fits the width needs no sideways scrolling; fingers need 44 pixels (WCAG 2.5.5).
LEAST_TARGET = 44


async def assert_fits(page: Page, width: int = 375) -> None:
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    for button in await page.locator(".button, input[type=text], input[type=tel]").all():
        box = await button.bounding_box()
        assert box is None or box["height"] >= LEAST_TARGET


async def test_a_friend_goes_from_the_poster_to_an_own_poster(
    resources: Resources, merchant: MerchantFixture, site: str, page: Page, faults: list[str]
) -> None:
    async with resources.db.tenant(merchant.test_id) as session:
        campaign = await make_campaign(session, merchant.test_id, landing={"highlights": ["一年社群会员"]})
        inviter = await make_participant(session, campaign)
    await page.goto(f"{site}/i/{inviter.invite_code}?s=qr")
    await assert_fits(page)
    await page.get_by_role("link", name="立即参加").click()
    await page.get_by_role("textbox", name="手机号").fill(new_phone())
    await page.get_by_role("textbox", name="昵称").fill("李雷")
    await page.locator("input[name=agree]").check()
    await assert_fits(page)
    await page.get_by_role("button", name="获取验证码", exact=True).click()
    code = await page.locator(".note b").inner_text()
    await page.get_by_role("textbox", name="短信验证码").fill(code)
    await assert_fits(page)
    await page.get_by_role("button", name="完成报名").click()
    await page.wait_for_url("**/h5/me/**")
    poster = page.locator("img.poster")
    await poster.scroll_into_view_if_needed()
    answer = await page.request.get(site + (await poster.get_attribute("src") or ""))
    assert answer.headers["content-type"] == "image/jpeg"
    await assert_fits(page)
    assert not faults


async def test_a_merchant_registers_on_a_phone(site: str, page: Page, faults: list[str]) -> None:
    await page.goto(f"{site}/h5/r")
    await page.get_by_role("textbox", name="商户名称").fill("山间咖啡")
    await page.get_by_role("textbox", name="手机号").fill(new_phone())
    await page.locator("input[name=agree]").check()
    await assert_fits(page)
    await page.get_by_role("button", name="免费注册").click()
    await page.get_by_role("textbox", name="短信验证码").fill(await page.locator(".note b").inner_text())
    await page.get_by_role("button", name="完成验证").click()
    await page.get_by_text("只显示这一次").wait_for()
    await assert_fits(page)
    assert not faults


async def test_text_stands_out_from_its_ground(site: str, page: Page) -> None:
    """WCAG AA for the pairs of text and ground that the style sheet makes."""
    await page.goto(f"{site}/h5/r")
    source = await page.content()
    for ink, ground in (("#1f2329", "#fff6f0"), ("#5c636d", "#ffffff"), ("#ffffff", "#c8321f"), ("#8a5a00", "#fff0dc")):
        assert _contrast(ink, ground) >= 4.5, (ink, ground)
    assert all(colour in source for colour in ("#1f2329", "#5c636d", "#c8321f", "#8a5a00", "#fff0dc"))


def _contrast(first: str, second: str) -> float:
    light, dark = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


async def test_long_words_fit_the_narrowest_phone(
    resources: Resources, merchant: MerchantFixture, site: str, page: Page
) -> None:
    """320 pixels, which is also what 400 % of a usual window leaves (WCAG 1.4.10)."""
    texts = {"headline": "W" * 120, "subtitle": "W" * 200, "button": "W" * 40, "highlights": ["W" * 200]}
    texts |= {"description": "https://example.com/" + "a" * 300, "organiser": "W" * 120}
    async with resources.db.tenant(merchant.test_id) as session:
        campaign = await make_campaign(session, merchant.test_id, landing=texts, rules_text="W" * 500)
        campaign.name = campaign.product_name = "W" * 120
        campaign.price_minor = 599_999_999_900
        inviter = await make_participant(session, campaign)
    await page.set_viewport_size({"width": 320, "height": 568})
    for path in (f"?code={inviter.invite_code}", "/rules", "/join"):
        await page.goto(f"{site}/h5/c/{campaign.id}{path}")
        await assert_fits(page, 320)
    await page.get_by_role("textbox", name="手机号").fill(new_phone())
    await page.get_by_role("textbox", name="昵称").fill("W" * 64)
    await page.locator("input[name=agree]").check()
    await page.get_by_role("button", name="获取验证码", exact=True).click()
    await page.get_by_role("textbox", name="短信验证码").fill(await page.locator(".note b").inner_text())
    await page.get_by_role("button", name="完成报名").click()
    await page.wait_for_url("**/h5/me/**")
    await assert_fits(page, 320)
