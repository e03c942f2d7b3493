"""`GET /i/{code}`: where it leads, and what counts as what."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.kit import clock
from app.resources import Resources
from app.tracking import visitors
from tests.factories import MerchantFixture
from tests.factories.served import WAYS, way_to
from tests.factories.tracking import WECHAT, Link, make_link, settle

CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36"


@pytest.fixture(params=WAYS)
async def transport(request: pytest.FixtureRequest, app: FastAPI) -> AsyncIterator[httpx.AsyncBaseTransport]:
    async with way_to(app, request.param) as found:
        yield found


async def open_link(http: httpx.AsyncClient, link: Link, query: str = "", **headers: str) -> httpx.Response:
    """As a phone without cookies does it, unless one is given."""
    http.cookies.clear()
    given = {"User-Agent": WECHAT} | {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await http.get(link.path + query, headers=given)
    assert answer.status_code == 302, answer.text
    return answer


async def counted(api: httpx.AsyncClient, link: Link) -> dict[str, int]:
    """Counters that are not zero."""
    answer = await api.get(f"/v1/participants/{link.participant_id}/stats")
    assert answer.status_code == 200, answer.text
    shown = ("clicks", "scans", "views", "shares", "bot_hits", "late_hits", "unique_visitors")
    found: dict[str, Any] = answer.json()
    return {name: found[name] for name in shown if found[name]}


async def test_a_click_is_led_on_and_counted(http: httpx.AsyncClient, api: httpx.AsyncClient, link: Link) -> None:
    answer = await open_link(http, link)
    assert answer.headers["location"] == f"/h5/c/{link.campaign_id}?code={link.code}"
    assert answer.headers["event-id"].startswith("evt_")
    assert answer.headers["cache-control"] == "no-store"
    assert await counted(api, link) == {"clicks": 1, "unique_visitors": 1}


async def test_a_code_may_be_typed_in_capitals(http: httpx.AsyncClient, api: httpx.AsyncClient, link: Link) -> None:
    answer = await http.get(link.path.upper().replace("/I/", "/i/"), headers={"User-Agent": WECHAT})
    assert answer.headers["location"].endswith(f"?code={link.code}")
    assert await counted(api, link) == {"clicks": 1, "unique_visitors": 1}


async def test_a_scan_is_told_from_a_click(http: httpx.AsyncClient, api: httpx.AsyncClient, link: Link) -> None:
    await open_link(http, link, "?s=qr")
    await open_link(http, link, "?s=other")
    assert await counted(api, link) == {"clicks": 1, "scans": 1, "unique_visitors": 1}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("moments", "&ch=moments"),
        ("Moments", "&ch=moments"),
        ("朋友圈", "&ch=%E6%9C%8B%E5%8F%8B%E5%9C%88"),
        ("x" * 33, "&ch=other"),
        ("a|b", "&ch=other"),
        ("<script>", "&ch=other"),
        ("", ""),
    ],
)
async def test_the_channel_is_kept_where_it_is_a_name(
    http: httpx.AsyncClient, link: Link, given: str, kept: str
) -> None:
    answer = await open_link(http, link, f"?{httpx.QueryParams(ch=given)}")
    assert answer.headers["location"] == f"/h5/c/{link.campaign_id}?code={link.code}{kept}"


@pytest.mark.parametrize(
    "agent",
    [
        WECHAT,
        CHROME,
        "Mozilla/5.0 (Linux; U; Android 10; zh-CN) AliApp(DingTalk/7.0.40) com.alibaba.android.rimet/1 Channel/227200",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 16_0 like Mac OS X) Mobile/15E148 Weibo (iPhone14,2__weibo__13.3.0)",
        "Mozilla/5.0 (Linux; Android 9; CUBOT_X18_Plus) AppleWebKit/537.36 Mobile Safari/537.36",
    ],
    ids=["wechat", "chrome", "dingtalk", "weibo", "a phone called cubot"],
)
async def test_people_in_chat_apps_count(
    http: httpx.AsyncClient, api: httpx.AsyncClient, link: Link, agent: str
) -> None:
    await open_link(http, link, User_Agent=agent)
    assert await counted(api, link) == {"clicks": 1, "unique_visitors": 1}


@pytest.mark.parametrize(
    "headers",
    [
        {"User_Agent": "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)"},
        {"User_Agent": "facebookexternalhit/1.1"},
        {"User_Agent": "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"},
        {"User_Agent": "curl/8.5.0"},
        {"User_Agent": ""},
        {"Purpose": "prefetch"},
        {"Sec_Purpose": "prefetch;prerender"},
        {"X_Purpose": "preview"},
        {"X_Moz": "prefetch"},
    ],
    ids=lambda headers: "-".join([*headers, *headers.values()])[:40],
)
async def test_machines_are_led_on_and_counted_apart(
    http: httpx.AsyncClient, api: httpx.AsyncClient, link: Link, headers: dict[str, str]
) -> None:
    answer = await open_link(http, link, "?s=qr", **headers)
    assert answer.headers["event-id"]
    assert "set-cookie" not in answer.headers
    assert await counted(api, link) == {"bot_hits": 1}


async def test_head_is_a_machine(http: httpx.AsyncClient, api: httpx.AsyncClient, link: Link) -> None:
    answer = await http.head(link.path, headers={"User-Agent": WECHAT})
    assert (answer.status_code, answer.content) == (302, b"")
    assert await counted(api, link) == {"bot_hits": 1}


async def test_a_visitor_counts_once_with_or_without_the_cookie(
    http: httpx.AsyncClient, api: httpx.AsyncClient, link: Link
) -> None:
    first = await open_link(http, link)
    cookie = first.cookies[visitors.COOKIE]
    kept = await open_link(http, link, Cookie=f"{visitors.COOKIE}={cookie}")
    assert "set-cookie" not in kept.headers
    # The cookie also tells who it is from another network, where the hash would be another.
    await open_link(http, link, Cookie=f"{visitors.COOKIE}={cookie}", User_Agent=CHROME)
    await open_link(http, link)
    assert await counted(api, link) == {"clicks": 4, "unique_visitors": 1}
    await open_link(http, link, User_Agent=f"{WECHAT} another phone")
    assert await counted(api, link) == {"clicks": 5, "unique_visitors": 2}


async def test_the_cookie_is_closed_to_scripts_and_other_sites(http: httpx.AsyncClient, link: Link) -> None:
    answer = await open_link(http, link)
    said = answer.headers["set-cookie"].lower()
    assert all(word in said for word in ("httponly", "samesite=lax", "secure", "path=/", "max-age=15552000"))


async def test_a_forged_cookie_names_nobody(http: httpx.AsyncClient, api: httpx.AsyncClient, link: Link) -> None:
    for forged in ("A" * 40 + "." + "B" * 43, "nonsense", "."):
        answer = await open_link(http, link, Cookie=f"{visitors.COOKIE}={forged}")
        assert "set-cookie" in answer.headers
    assert await counted(api, link) == {"clicks": 3, "unique_visitors": 1}


@pytest.mark.parametrize("status", ["draft", "scheduled"])
@pytest.mark.usefixtures("link")  # so that live counters are shown
async def test_before_the_campaign_begins_nothing_counts(
    http: httpx.AsyncClient, api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, status: str
) -> None:
    later = clock.utcnow() + timedelta(days=1)
    link = await make_link(resources, merchant.test_id, status=status, starts_at=later)
    answer = await open_link(http, link)
    assert answer.headers["location"].startswith(f"/h5/c/{link.campaign_id}?code=")
    assert "event-id" not in answer.headers
    assert await counted(api, link) == {}


@pytest.mark.usefixtures("link")  # so that live counters are shown
async def test_a_paused_campaign_counts(
    http: httpx.AsyncClient, api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    link = await make_link(resources, merchant.test_id, status="paused")
    await open_link(http, link)
    assert await counted(api, link) == {"clicks": 1, "unique_visitors": 1}


@pytest.mark.parametrize("status", ["active", "ended", "settled"])
@pytest.mark.usefixtures("link")  # so that live counters are shown
async def test_after_the_end_hits_are_counted_apart(
    http: httpx.AsyncClient, api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, status: str
) -> None:
    """`active`: its time is over, and no worker has written it down yet."""
    now = clock.utcnow()
    dates = {"starts_at": now - timedelta(days=9), "ends_at": now - timedelta(days=1)}
    link = await make_link(resources, merchant.test_id, status=status, **dates)
    answer = await open_link(http, link)
    assert answer.headers["event-id"]
    # Shown either way, also where the machine was too busy for the live figures.
    await settle(resources)
    assert await counted(api, link) == {"late_hits": 1}


@pytest.mark.parametrize("code", ["22222222", "short", "%E9%82%80", "a" * 300, "2222222o"])
async def test_an_unknown_code_is_a_friendly_page(http: httpx.AsyncClient, code: str) -> None:
    answer = await http.get(f"/i/{code}", headers={"User-Agent": WECHAT})
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert "邀请" in answer.text
