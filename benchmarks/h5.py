"""A friend's first visit: from the link on a poster to the landing page, as a phone sees it."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

import httpx
from playwright.async_api import Browser, async_playwright

from proofs.frame.command import Entry
from proofs.frame.report import Figure
from proofs.frame.server import Server, serve
from proofs.frame.stage import Stage
from tests.factories import make_campaign, make_merchant, make_participant

MOST_BYTES, MOST_REQUESTS = 50_000, 2
PHONE: Any = {"viewport": {"width": 375, "height": 812}, "locale": "zh-CN"}
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
LANDING = {
    "headline": "一本案例集，一年会员",
    "subtitle": "两百个真实案例，从第一步讲到第一万单",
    "organiser": "清茶书社",
    "highlights": ["年度会员社群", "每周一次直播", "案例集包邮到家"],
    "description": "由一线团队整理，适合第一次做活动的人。",
}
PATIENCE = 120


@dataclass(slots=True)
class Visit:
    """`bytes`: everything that came over the wire, headers included; `before_paint`: requests by then."""

    bytes: int = 0
    requests: int = 0
    before_paint: int = 0
    remarks: list[str] = field(default_factory=list)


async def run(stage: Stage, quick: bool) -> Sequence[Figure]:  # noqa: ARG001 - it is quick
    merchant = await make_merchant(stage.resources)
    async with stage.resources.db.tenant(merchant.test_id) as session:
        campaign = await make_campaign(session, merchant.test_id, landing=LANDING)
        inviter = await make_participant(session, campaign)
    with serve(stage) as server:
        link = f"{server.base_url}/i/{inviter.invite_code}?s=qr"
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        visit = await _by_browser(link, chromium) if chromium else await _by_hand(link)
        joined = await _join_without_javascript(link, server, chromium)
    return [
        _at_most("h5.bytes", visit.bytes, "bytes", MOST_BYTES, visit.remarks),
        _at_most("h5.requests", visit.before_paint, "before first paint", MOST_REQUESTS),
        Figure("h5.without-javascript", joined, "forms reached", 1, joined, "usable", ok=joined == 1),
    ]


BENCH = Entry("h5", run, seconds=PATIENCE)


def _at_most(name: str, value: float, unit: str, most: float, remarks: Sequence[str] = ()) -> Figure:
    return Figure(name, value, unit, most, value / most, f"≤ {most:,} {unit}", ok=value <= most, remarks=remarks)


@contextlib.asynccontextmanager
async def _browser(chromium: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            await browser.close()


async def _by_browser(link: str, chromium: str) -> Visit:
    """As Chromium's own network log counts, until nothing more is loaded."""
    visit = Visit()
    async with _browser(chromium) as browser:
        context = await browser.new_context(**PHONE)
        page = await context.new_page()
        wire = await context.new_cdp_session(page)
        await wire.send("Network.enable")
        sent: list[float] = []

        def sending(event: dict[str, Any]) -> None:
            sent.append(event["timestamp"])
            visit.bytes += int(event.get("redirectResponse", {}).get("encodedDataLength", 0))

        wire.on("Network.requestWillBeSent", sending)
        wire.on("Network.loadingFinished", lambda event: _add(visit, int(event["encodedDataLength"])))
        await page.goto(link, wait_until="networkidle")
        paint = await page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        visit.requests = len(sent)
        visit.before_paint = sum(at - sent[0] <= paint / 1_000 for at in sent)
        visit.remarks.append(f"Chromium: {len(sent)} requests, first paint after {paint:.0f} ms")
    return visit


def _add(visit: Visit, received: int) -> None:
    visit.bytes += received


async def _by_hand(link: str) -> Visit:
    """Without a browser: the redirect, the page, and what its head would make a browser wait for."""
    visit = Visit(remarks=["no Chromium was found: counted by reading the page"])
    async with httpx.AsyncClient(trust_env=False, follow_redirects=True) as client:
        page = await client.get(link)
        blocking = re.findall(r'<(?:script[^>]+src|link[^>]+href)="([^"]+)"', page.text.partition("</head>")[0])
        answers = [*page.history, page]
        answers += [await client.get(urljoin(str(page.url), name)) for name in blocking if not name.startswith("data:")]
    visit.bytes = sum(answer.num_bytes_downloaded + len(_head(answer)) for answer in answers)
    visit.requests = visit.before_paint = len(answers)
    return visit


def _head(answer: httpx.Response) -> bytes:
    return b"".join(name + b": " + value + b"\r\n" for name, value in answer.headers.raw)


async def _join_without_javascript(link: str, server: Server, chromium: str | None) -> int:
    """Whether the page's one button leads to a form that asks for the phone: 1 or 0."""
    if chromium:
        async with _browser(chromium) as browser:
            page = await (await browser.new_context(**PHONE, java_script_enabled=False)).new_page()
            await page.goto(link)
            await page.locator("a.button").first.click()
            return await page.locator("form input[type=tel]").count()
    async with httpx.AsyncClient(base_url=server.base_url, trust_env=False, follow_redirects=True) as client:
        found = re.search(r'<a[^>]*class="button"[^>]*href="([^"]+)"', (await client.get(link)).text)
        form = await client.get(found[1].replace("&amp;", "&")) if found else None
    return int(form is not None and 'type="tel"' in form.text)
