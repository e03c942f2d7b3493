"""What participants do on their own page."""

from __future__ import annotations

import httpx
import pytest
from sqlalchemy import select

from app.models import AvatarFetch, Campaign, Member, Participant
from app.resources import Resources
from tests.factories import MerchantFixture, make_campaign
from tests.factories.forms import new_phone, shown_code
from tests.factories.pictures import picture


@pytest.fixture
async def campaign(resources: Resources, merchant: MerchantFixture) -> Campaign:
    offered = ["distribution", "refer_a_friend"]
    async with resources.db.tenant(merchant.test_id) as session:
        return await make_campaign(session, merchant.test_id, poster_template_ids=offered, poster_avatars=True)


@pytest.fixture
async def own(browser: httpx.AsyncClient, api: httpx.AsyncClient, campaign: Campaign) -> str:
    """The path of the page, with the browser signed in. The merchant has named a picture that is not there yet."""
    phone = new_phone()
    member = {"phone": phone, "avatar_url": "https://pictures.example/me.png"}
    made = await api.post(f"/v1/campaigns/{campaign.id}/participants", json={"member": member})
    door = f"/h5/c/{campaign.id}/sign-in"
    code = shown_code(await browser.post(door, data={"step": "send", "phone": phone}))
    await browser.post(door, data={"step": "verify", "phone": phone, "code": code})
    return f"/h5/me/{made.json()['id']}"


async def test_another_poster_is_picked_on_the_page(
    browser: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, own: str
) -> None:
    page = await browser.get(own)
    assert page.text.count('name="template"') == 2
    assert 'value="distribution" aria-current' in page.text
    page = await browser.post(f"{own}/poster", data={"template": "refer_a_friend"})
    assert 'value="refer_a_friend" aria-current' in page.text
    async with resources.db.tenant(merchant.test_id) as session:
        assert await session.scalar(select(Participant.poster_template_id)) == "refer_a_friend"


async def test_a_poster_that_is_not_offered_is_refused_in_a_page(browser: httpx.AsyncClient, own: str) -> None:
    for wanted in ("merchant_registration", "", "x" * 65):
        refused = await browser.post(f"{own}/poster", data={"template": wanted})
        assert refused.status_code == 422
        assert refused.headers["content-type"].startswith("text/html")


async def test_a_picture_chosen_here_stands_against_the_merchants_address(
    browser: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, own: str
) -> None:
    async with resources.db.tenant(merchant.test_id) as session:
        assert await session.scalar(select(AvatarFetch.url)) == "https://pictures.example/me.png"
    page = await browser.post(f"{own}/avatar", files={"avatar": ("me.png", picture(), "image/png")})
    assert page.status_code == 200
    async with resources.db.tenant(merchant.test_id) as session:
        assert await session.scalar(select(AvatarFetch.url)) is None
        assert await session.scalar(select(Member.avatar_asset_id)) is not None


async def test_where_posters_show_no_pictures_none_is_asked_for(
    browser: httpx.AsyncClient, api: httpx.AsyncClient, campaign: Campaign, own: str
) -> None:
    assert "更新头像" in (await browser.get(own)).text
    await api.patch(f"/v1/campaigns/{campaign.id}", json={"poster_avatars": False})
    assert "更新头像" not in (await browser.get(own)).text
