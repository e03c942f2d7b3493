"""Back to one's own page, which signing up opened once."""

from __future__ import annotations

import re

import httpx
import pytest

from app.models import Campaign
from app.resources import Resources
from tests.factories import MerchantFixture, make_campaign
from tests.factories.forms import new_phone, shown_code


@pytest.fixture
async def campaign(resources: Resources, merchant: MerchantFixture) -> Campaign:
    async with resources.db.tenant(merchant.test_id) as session:
        return await make_campaign(session, merchant.test_id)


async def join(api: httpx.AsyncClient, campaign: Campaign, phone: str) -> str:
    member = {"phone": phone, "nickname": "李雷"}
    made = await api.post(f"/v1/campaigns/{campaign.id}/participants", json={"member": member})
    participant_id: str = made.json()["id"]
    return participant_id


async def send(browser: httpx.AsyncClient, campaign: Campaign, phone: str) -> httpx.Response:
    return await browser.post(f"/h5/c/{campaign.id}/sign-in", data={"step": "send", "phone": phone})


async def verify(browser: httpx.AsyncClient, campaign: Campaign, phone: str, code: str) -> httpx.Response:
    form = {"step": "verify", "phone": phone, "code": code}
    return await browser.post(f"/h5/c/{campaign.id}/sign-in", data=form)


async def test_a_participant_comes_back_by_phone_also_when_the_campaign_is_over(
    browser: httpx.AsyncClient, api: httpx.AsyncClient, campaign: Campaign
) -> None:
    phone = new_phone()
    own = await join(api, campaign, phone)
    assert (await api.post(f"/v1/campaigns/{campaign.id}/end")).status_code == 200
    assert (await browser.get(f"/h5/me/{own}")).status_code == 403
    landing = await browser.get(f"/h5/c/{campaign.id}")
    assert f"/h5/c/{campaign.id}/sign-in" in landing.text
    assert (await browser.get(f"/h5/c/{campaign.id}/sign-in")).status_code == 200
    code = shown_code(await send(browser, campaign, f"+86 {phone}"))
    page = await verify(browser, campaign, phone, code)
    assert page.status_code == 200
    assert str(page.url).endswith(f"/h5/me/{own}")
    assert "李雷" in page.text


async def test_a_stranger_is_not_told_who_takes_part(
    browser: httpx.AsyncClient, api: httpx.AsyncClient, campaign: Campaign
) -> None:
    known, stranger = new_phone(), new_phone()
    await join(api, campaign, known)
    pages = [await send(browser, campaign, phone) for phone in (known, stranger)]
    texts = [re.sub(r'<p class="note".*?</p>', "", page.text) for page in pages]
    hidden = [
        text.replace(phone, "").replace(phone[-4:], "") for text, phone in zip(texts, (known, stranger), strict=True)
    ]
    assert [page.status_code for page in pages] == [200, 200]
    assert hidden[0].split() == hidden[1].split()
    assert "验证码是 <b>" not in pages[1].text
    again = [await send(browser, campaign, phone) for phone in (known, stranger)]
    assert [page.status_code for page in again] == [429, 429]
    refused = await verify(browser, campaign, stranger, "000000")
    assert refused.status_code == 422
    assert "验证码不正确" in refused.text


async def test_the_code_of_a_signup_signs_nobody_in(
    browser: httpx.AsyncClient, api: httpx.AsyncClient, campaign: Campaign
) -> None:
    phone = new_phone()
    await join(api, campaign, phone)
    form = {"step": "send", "phone": phone, "agree": "yes"}
    code = shown_code(await browser.post(f"/h5/c/{campaign.id}/join", data=form))
    assert (await verify(browser, campaign, phone, code)).status_code == 422
    assert "ivt_session" not in browser.cookies


@pytest.mark.parametrize("phone", ["", "12", "someone@example.com", "a\u0000b"])
async def test_what_is_no_phone_is_said(browser: httpx.AsyncClient, campaign: Campaign, phone: str) -> None:
    page = await send(browser, campaign, phone)
    assert page.status_code == 422
    assert page.headers["content-type"].startswith("text/html")


async def test_a_campaign_that_is_none_has_no_door(browser: httpx.AsyncClient) -> None:
    for path in ("/h5/c/cmp_x/sign-in", "/h5/c/cmp_01h2xcejqtf2nbrexx3vqjhp41/sign-in"):
        assert (await browser.get(path)).status_code == 404
        assert (await browser.post(path, data={"phone": new_phone()})).status_code == 404
