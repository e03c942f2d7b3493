"""Paying in WeChat by somebody it has to be asked for, as a phone shows it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from app.kit import outward
from app.orders.providers import wechat_login
from app.resources import Resources
from tests.factories import MerchantFixture
from tests.factories.wechat_pay import WechatPayFake, by_wechat, save_wechat_pay, wechat_pay_settings

WECHAT = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) MicroMessenger/8.0.50 Language/zh_CN"


@pytest.fixture
async def page(chromium: Browser) -> AsyncIterator[Page]:
    """WeChat's own browser."""
    context = await chromium.new_context(viewport={"width": 375, "height": 812}, user_agent=WECHAT, locale="zh-CN")
    yield await context.new_page()
    await context.close()


@pytest.fixture
async def authorize() -> AsyncIterator[str]:
    """WeChat's page, which asks nobody anything: on with a code, at once."""

    async def send_back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        query = parse_qs(urlsplit(target).query)
        back = f"{query['redirect_uri'][0]}?code=c0de&state={query['state'][0]}"
        writer.write(f"HTTP/1.1 302 Found\r\nLocation: {back}\r\nConnection: close\r\n\r\n".encode())
        writer.close()

    server = await asyncio.start_server(send_back, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/authorize"


@pytest.mark.parametrize("is_known", [True, False], ids=["told", "refused"])
async def test_to_wechat_and_back(
    resources: Resources,
    merchant: MerchantFixture,
    live_api: httpx.AsyncClient,
    site: str,
    page: Page,
    faults: list[str],
    monkeypatch: pytest.MonkeyPatch,
    authorize: str,
    is_known: bool,
) -> None:
    fake = WechatPayFake(wechat_pay_settings(app_secret="0123456789abcdef"))
    await save_wechat_pay(live_api, fake)
    monkeypatch.setattr(outward, "new_client", lambda _: fake.client())
    fake.codes = {"c0de": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"} if is_known else {}
    monkeypatch.setattr(wechat_login, "AUTHORIZE", authorize)
    checkout = await by_wechat(resources, merchant)
    await page.goto(f"{site}/h5/pay/{checkout.id}")
    await expect(page.get_by_role("heading", level=1)).to_have_text("确认付款")
    button = page.get_by_role("button", name="微信支付 ¥59.00")
    note = page.get_by_role("status")
    if is_known:
        await expect(button).to_be_visible()
    else:
        await expect(note).to_contain_text("在浏览器打开")
        await expect(button).to_have_count(0)
    assert await page.evaluate("document.documentElement.scrollWidth") <= 375
    assert not faults
