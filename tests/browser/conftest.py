"""Headless Chromium at phone size against a real server."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

PHONE = {"width": 375, "height": 812}
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # As on a small phone: no process is kept ready for a page that may never come, and none draws for a screen.
    "--disable-software-rasterizer",
    "--enable-low-end-device-mode",
    "--renderer-process-limit=1",
)


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("chromium-browser"), args=list(QUIET)
        )
        yield browser
        await browser.close()


@pytest.fixture(params=[False, True], ids=["without-javascript", "with-javascript"])
async def phone(request: pytest.FixtureRequest, chromium: Browser) -> AsyncIterator[BrowserContext]:
    context = await chromium.new_context(
        viewport={"width": PHONE["width"], "height": PHONE["height"]}, java_script_enabled=request.param, locale="zh-CN"
    )
    yield context
    await context.close()


@pytest.fixture
async def page(phone: BrowserContext) -> Page:
    return await phone.new_page()


@pytest.fixture
def faults(page: Page) -> list[str]:
    """What the browser complains about; a page has no faults."""
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("console", lambda message: found.append(message.text) if message.type == "error" else None)
    return found
