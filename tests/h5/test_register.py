"""The merchant's own loop on the phone: register, prove the number, invite others."""

from __future__ import annotations

import re

import httpx

from tests.factories.forms import new_phone, shown_code


async def register(browser: httpx.AsyncClient, name: str, invite_code: str = "") -> httpx.Response:
    form = {"name": name, "phone": new_phone(), "invite_code": invite_code, "agree": "yes"}
    page = await browser.post("/h5/r", data=form)
    assert page.status_code == 200, page.text
    ticket = re.search(r'name="ticket" value="([^"]+)"', page.text)
    assert ticket
    return await browser.post(
        "/h5/r/verify", data={"ticket": ticket[1], "phone": form["phone"], "code": shown_code(page)}
    )


def invite_code_of(page: httpx.Response) -> str:
    found = re.search(r"/i/([2-9a-z]{8})", page.text)
    assert found
    return found[1]


async def test_a_merchant_registers_and_its_keys_work(browser: httpx.AsyncClient) -> None:
    page = await register(browser, "山间咖啡")
    assert page.status_code == 200
    keys = re.findall(r"ivt_(?:live|test)_\w+", page.text)
    for key in keys:
        own = await browser.get("/v1/merchant", headers={"Authorization": f"Bearer {key}"})
        assert own.json()["verified"] is True
    assert len(keys) == 2


async def test_an_invited_merchant_brings_both_30_days(browser: httpx.AsyncClient) -> None:
    first = await register(browser, "清茶书社")
    key = re.findall(r"ivt_live_\w+", first.text)[0]
    before = (await browser.get("/v1/merchant", headers={"Authorization": f"Bearer {key}"})).json()
    landing = await browser.get(f"/i/{invite_code_of(first)}")
    assert landing.url.path == "/h5/r"
    assert "<bdi>清茶书社</bdi> 邀请你" in landing.text
    second = await register(browser, "山间咖啡", invite_code_of(first))
    assert "<b>30</b><span>已得天数" in second.text
    after = (await browser.get("/v1/merchant", headers={"Authorization": f"Bearer {key}"})).json()
    assert after["membership"]["ends_at"] > before["membership"]["ends_at"]


async def test_the_own_page_comes_back_without_the_keys(browser: httpx.AsyncClient) -> None:
    await register(browser, "山间咖啡")
    page = await browser.get("/h5/r/me")
    assert page.status_code == 200
    assert "ivt_live_" not in page.text


async def test_a_number_registers_once(browser: httpx.AsyncClient) -> None:
    form = {"name": "山间咖啡", "phone": new_phone(), "agree": "yes"}
    assert (await browser.post("/h5/r", data=form)).status_code == 200
    again = await browser.post("/h5/r", data=form)
    assert again.status_code == 409
    assert "已注册" in again.text


async def test_a_forged_ticket_proves_nothing(browser: httpx.AsyncClient) -> None:
    for ticket in ("", "AAAA", "not base64 at all"):
        page = await browser.post("/h5/r/verify", data={"ticket": ticket, "phone": "13800000000", "code": "123456"})
        assert page.status_code == 422
