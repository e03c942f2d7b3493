"""Who can have how many codes sent, to whom, and what the pages say about it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.api.ratelimit import PHONE_CODES_A_DAY
from app.kit.errors import Unavailable
from app.main import create_app
from app.models import Campaign
from app.referrals import phone_codes
from app.resources import Resources
from app.settings import get_settings
from tests.factories import MerchantFixture, make_campaign
from tests.factories.forms import new_phone
from tests.factories.merchants import BASE_URL


@pytest.fixture
async def campaign(resources: Resources, merchant: MerchantFixture) -> Campaign:
    async with resources.db.tenant(merchant.test_id) as session:
        return await make_campaign(session, merchant.test_id)


@pytest.fixture
async def strict(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A browser at an application that sends one address three codes an hour."""
    application = create_app(get_settings().model_copy(update={"codes_per_hour": 3, "trusted_proxies": 1}))
    transport = httpx.ASGITransport(application)
    async with (
        application.router.lifespan_context(application),
        httpx.AsyncClient(transport=transport, base_url=BASE_URL) as browser,
    ):
        yield browser


async def ask(browser: httpx.AsyncClient, campaign: Campaign, phone: str, **form: str) -> httpx.Response:
    fields = {"step": "send", "agree": "yes", "phone": phone, **form}
    return await browser.post(f"/h5/c/{campaign.id}/join", data=fields)


def hidden_fields(page: httpx.Response) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.text))


async def test_another_code_can_be_asked_for_where_the_first_is_typed(
    browser: httpx.AsyncClient, campaign: Campaign
) -> None:
    """What the second button of that page sends: its hidden fields, and no code yet."""
    page = await ask(browser, campaign, new_phone())
    again = await browser.post(f"/h5/c/{campaign.id}/join", data=hidden_fields(page) | {"step": "send", "code": ""})
    assert again.status_code == 429
    assert "验证码刚刚发送过" in again.text
    assert 'name="code"' in again.text, "the code that is on its way can still be typed"


@pytest.mark.parametrize("address", ["@", "x@y", "someone@example.com"])
async def test_no_code_is_sent_to_an_email_address_of_a_friend(
    browser: httpx.AsyncClient, campaign: Campaign, address: str
) -> None:
    page = await ask(browser, campaign, address)
    assert page.status_code == 422
    assert "请输入正确的手机号" in page.text


@pytest.mark.parametrize("address", ["@", "x@y", "a,b@example.com", "x" * 250 + "@example.com"])
async def test_what_cannot_be_a_mailbox_registers_no_merchant(browser: httpx.AsyncClient, address: str) -> None:
    page = await browser.post("/h5/r", data={"name": "x", "phone": address, "agree": "yes"})
    assert page.status_code == 422
    assert "请输入正确的手机号" in page.text


async def test_a_wrong_invite_code_is_said_before_a_code_is_sent(
    browser: httpx.AsyncClient, campaign: Campaign
) -> None:
    phone = new_phone()
    refused = await ask(browser, campaign, phone, invite_code="zzzzzzzz")
    assert refused.status_code == 422
    assert "邀请码不存在" in refused.text
    assert (await ask(browser, campaign, phone)).status_code == 200, "nobody has to wait for a minute"


async def test_codes_that_one_address_asks_for_run_out(strict: httpx.AsyncClient, campaign: Campaign) -> None:
    here, there = ({"X-Forwarded-For": f"2001:db8:{new_phone()[3:7]}:{n}::1"} for n in "12")
    strict.headers.update(here)
    pages = [await ask(strict, campaign, new_phone()) for _ in range(4)]
    assert [page.status_code for page in pages] == [200, 200, 200, 429]
    assert "操作太频繁" in pages[-1].text
    assert pages[-1].headers["ratelimit-policy"] == '"code";q=3;w=3600'
    assert int(pages[-1].headers["retry-after"]) > 0
    strict.headers.update(there)
    assert (await ask(strict, campaign, new_phone())).status_code == 200


async def test_one_phone_is_not_rung_by_every_merchant_in_turn(browser: httpx.AsyncClient, campaign: Campaign) -> None:
    phone = new_phone()
    pages = [await ask(browser, campaign, f"+86 {phone}" if n % 2 else phone) for n in range(PHONE_CODES_A_DAY + 1)]
    assert "操作太频繁" not in pages[-2].text
    assert "操作太频繁" in pages[-1].text


async def test_in_test_mode_codes_are_shown_and_ring_nobody(
    resources: Resources, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever provider there is; the one here would fail."""
    real = get_settings().model_copy(update={"sms_provider": "http", "sms_url": "http://127.0.0.1:9/"})
    monkeypatch.setattr(phone_codes, "get_settings", lambda: real)
    shared: Any = {"merchant_id": campaign.merchant_id, "purpose": "join", "now": campaign.created_at}
    async with resources.db.tenant(campaign.merchant_id) as session:
        live = await phone_codes.send(session, phone_or_email=new_phone(), livemode=True, **shared)
        test = await phone_codes.send(session, phone_or_email=new_phone(), livemode=False, **shared)
    assert live.sandbox_code is None
    assert test.sandbox_code == test.code
    await phone_codes.deliver(real, test)
    with pytest.raises(Unavailable, match="code_not_sent"):
        await phone_codes.deliver(real, live)
