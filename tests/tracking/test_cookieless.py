"""Chat apps drop cookies: their visitors are told apart by address and agent, within a day in China."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI

from app.resources import Resources
from tests.factories.tracking import WECHAT, Link, differences, settle, stored

ANDROID = "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 MicroMessenger/8.0.50 NetType/5G"


@asynccontextmanager
async def phone(app: FastAPI, address: str, agent: str = WECHAT) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, client=(address, 40_000))
    async with httpx.AsyncClient(
        transport=transport, base_url="https://t.invitree.cn", headers={"User-Agent": agent}
    ) as http:
        yield http


async def opened(app: FastAPI, link: Link, *phones: tuple[str, ...], query: str = "") -> None:
    """Each opens the link once and keeps no cookie."""
    for each in phones:
        async with phone(app, *each) as http:
            answer = await http.get(link.path + query)
            assert answer.status_code == 302
            assert "set-cookie" in answer.headers


async def counted(api: httpx.AsyncClient, link: Link) -> tuple[int, int]:
    found: dict[str, Any] = (await api.get(f"/v1/campaigns/{link.campaign_id}/stats")).json()
    return found["clicks"] + found["scans"], found["unique_visitors"]


async def test_address_and_agent_tell_visitors_of_a_day_apart(
    app: FastAPI, api: httpx.AsyncClient, resources: Resources, link: Link
) -> None:
    phones = [("203.0.113.1",), ("203.0.113.2",), ("203.0.113.1", ANDROID)]
    await opened(app, link, *phones)
    assert await counted(api, link) == (3, 3)
    await opened(app, link, *phones, *phones, query="?s=qr&ch=group")
    assert await counted(api, link) == (9, 3)
    await settle(resources)
    assert await stored(resources, link) == {"clicks": 3, "scans": 6, "unique_visitors": 3}
    assert await differences(resources, link) == []


async def test_the_next_day_they_count_again(
    app: FastAPI, api: httpx.AsyncClient, resources: Resources, link: Link
) -> None:
    phones = [("203.0.113.1",), ("203.0.113.1", ANDROID)]
    await opened(app, link, *phones)
    assert (await api.post("/v1/test-clock", json={"advance_seconds": 86_400})).status_code == 200
    await app.state.announcements.hear_oneself()
    await opened(app, link, *phones, *phones)
    assert await counted(api, link) == (6, 4)
    await settle(resources)
    assert await stored(resources, link) == {"clicks": 6, "unique_visitors": 4}
    assert await differences(resources, link) == []
    by_day = (await api.get(f"/v1/campaigns/{link.campaign_id}/timeseries?interval=day")).json()["data"]
    assert [point["clicks"] for point in by_day[-2:]] == [2, 4]


async def test_who_keeps_the_cookie_is_the_same_visitor_from_another_address(
    app: FastAPI, api: httpx.AsyncClient, link: Link
) -> None:
    async with phone(app, "203.0.113.1") as http:
        first = await http.get(link.path)
    async with phone(app, "203.0.113.9") as http:
        again = await http.get(link.path, headers={"Cookie": first.headers["set-cookie"].partition(";")[0]})
    assert "set-cookie" not in again.headers
    assert await counted(api, link) == (2, 1)


async def test_one_visitor_of_two_participants_counts_for_both(
    app: FastAPI, api: httpx.AsyncClient, resources: Resources, link: Link
) -> None:
    body = {"member": {"external_id": "friend"}}
    answer = await api.post(f"/v1/campaigns/{link.campaign_id}/participants", json=body)
    friend = Link(link.merchant_id, link.campaign_id, answer.json()["id"], answer.json()["invite_code"])
    await opened(app, link, ("203.0.113.1",))
    await opened(app, friend, ("203.0.113.1",))
    assert await counted(api, link) == (2, 2)
