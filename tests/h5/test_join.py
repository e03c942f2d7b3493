"""From a friend's link to an own page, as a browser without JavaScript goes."""

from __future__ import annotations

import re

import httpx
import pytest

from app.models import Campaign, Member, Participant
from app.resources import Resources
from tests.factories import MerchantFixture, make_campaign, make_participant
from tests.factories.forms import new_phone, shown_code


@pytest.fixture
async def place(resources: Resources, merchant: MerchantFixture) -> tuple[Campaign, Participant]:
    async with resources.db.tenant(merchant.test_id) as session:
        campaign = await make_campaign(session, merchant.test_id)
        return campaign, await make_participant(session, campaign)


async def ask_for_code(browser: httpx.AsyncClient, campaign: Campaign, **form: str) -> httpx.Response:
    fields = {"step": "send", "agree": "yes", "nickname": "李雷", **form}
    return await browser.post(f"/h5/c/{campaign.id}/join", data=fields)


async def sign_up(browser: httpx.AsyncClient, campaign: Campaign, phone: str, invite_code: str = "") -> httpx.Response:
    code = shown_code(await ask_for_code(browser, campaign, phone=phone, invite_code=invite_code))
    form = {"step": "verify", "phone": phone, "code": code, "nickname": "李雷", "invite_code": invite_code}
    return await browser.post(f"/h5/c/{campaign.id}/join", data=form)


async def test_a_friend_signs_up_by_phone_and_both_sides_get_days(
    browser: httpx.AsyncClient, api: httpx.AsyncClient, place: tuple[Campaign, Participant]
) -> None:
    campaign, inviter = place
    page = await sign_up(browser, campaign, new_phone(), inviter.invite_code)
    assert page.status_code == 200
    assert "/h5/me/ptc_" in str(page.url)
    assert "长按图片保存" in page.text
    assert "+30 天" in page.text
    rewards = (await api.get(f"/v1/participants/{inviter.id}/rewards")).json()["data"]
    assert [(reward["side"], reward["status"]) for reward in rewards] == [("inviter", "granted")]


async def test_the_landing_page_names_the_inviter_and_keeps_the_code(
    browser: httpx.AsyncClient, place: tuple[Campaign, Participant]
) -> None:
    campaign, inviter = place
    page = await browser.get(f"/h5/c/{campaign.id}?code={inviter.invite_code}")
    assert "<bdi>小*</bdi> 邀请你参加" in page.text
    assert f"/join?code={inviter.invite_code}" in page.text


async def test_a_wrong_code_is_said_in_chinese_and_the_form_keeps_what_was_typed(
    browser: httpx.AsyncClient, place: tuple[Campaign, Participant]
) -> None:
    campaign, _ = place
    phone = new_phone()
    code = shown_code(await ask_for_code(browser, campaign, phone=phone))
    wrong = "000000" if code != "000000" else "111111"
    page = await browser.post(
        f"/h5/c/{campaign.id}/join", data={"step": "verify", "phone": phone, "code": wrong, "nickname": "李雷"}
    )
    assert page.status_code == 422
    assert "验证码不正确" in page.text
    assert f'value="{phone}"' in page.text


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ({"phone": "12"}, "请输入正确的手机号"),
        ({"phone": "13800000000", "agree": ""}, "请先阅读并同意活动规则"),
    ],
)
async def test_what_does_not_fit_is_said_above_the_form(
    browser: httpx.AsyncClient, place: tuple[Campaign, Participant], form: dict[str, str], text: str
) -> None:
    page = await ask_for_code(browser, place[0], **form)
    assert page.status_code == 422
    assert text in page.text


async def test_an_unknown_invite_code_signs_nobody_up(
    browser: httpx.AsyncClient, api: httpx.AsyncClient, place: tuple[Campaign, Participant]
) -> None:
    campaign, _ = place
    phone = new_phone()
    code = shown_code(await ask_for_code(browser, campaign, phone=phone))
    form = {"step": "verify", "phone": phone, "code": code, "invite_code": "zzzzzzzz"}
    page = await browser.post(f"/h5/c/{campaign.id}/join", data=form)
    assert page.status_code == 422
    assert "邀请码不存在" in page.text
    assert len((await api.get(f"/v1/campaigns/{campaign.id}/participants")).json()["data"]) == 1


async def test_the_code_serves_once(browser: httpx.AsyncClient, place: tuple[Campaign, Participant]) -> None:
    campaign, _ = place
    phone = new_phone()
    code = shown_code(await ask_for_code(browser, campaign, phone=phone))
    form = {"step": "verify", "phone": phone, "code": code}
    assert (await browser.post(f"/h5/c/{campaign.id}/join", data=form)).status_code == 200
    assert (await browser.post(f"/h5/c/{campaign.id}/join", data=form)).status_code == 422


async def test_a_page_is_its_owners_alone(browser: httpx.AsyncClient, place: tuple[Campaign, Participant]) -> None:
    campaign, inviter = place
    own = await sign_up(browser, campaign, new_phone(), inviter.invite_code)
    others = await browser.get(f"/h5/me/{inviter.id}")
    assert others.status_code == 404
    browser.cookies.clear()
    nobody = await browser.get(own.url)
    assert nobody.status_code == 403
    assert "请先登录" in nobody.text


async def test_a_forged_session_opens_nothing(browser: httpx.AsyncClient, place: tuple[Campaign, Participant]) -> None:
    _, inviter = place
    browser.cookies.set("ivt_session", "WyJtY2hfIiwibWJyXyJd.forged.signature", path="/h5")
    assert (await browser.get(f"/h5/me/{inviter.id}")).status_code == 403


@pytest.mark.parametrize(("status", "text"), [("paused", "暂停"), ("ended", "已结束"), ("draft", "尚未开始")])
async def test_a_closed_campaign_says_so_and_offers_no_button(
    resources: Resources, merchant: MerchantFixture, browser: httpx.AsyncClient, status: str, text: str
) -> None:
    async with resources.db.tenant(merchant.test_id) as session:
        campaign = await make_campaign(session, merchant.test_id, status=status)
    page = await browser.get(f"/h5/c/{campaign.id}")
    assert page.status_code == 200
    assert text in page.text
    assert "/join?" not in page.text
    closed = await ask_for_code(browser, campaign, phone=new_phone())
    assert closed.status_code == 409


async def test_an_unknown_campaign_is_a_friendly_page(browser: httpx.AsyncClient) -> None:
    for path in ("/h5/c/cmp_01h2xcejqtf2nbrexx3vqjhp41", "/h5/c/nonsense", "/h5/nowhere"):
        page = await browser.get(path)
        assert page.status_code == 404
        assert page.headers["content-type"].startswith("text/html")
        assert "<h1>" in page.text


async def test_texts_of_merchants_and_visitors_are_escaped(
    resources: Resources, merchant: MerchantFixture, browser: httpx.AsyncClient
) -> None:
    attack = "<script>alert(1)</script>"
    async with resources.db.tenant(merchant.test_id) as session:
        campaign = await make_campaign(
            session, merchant.test_id, landing={"headline": attack, "highlights": [attack]}, product_name=attack
        )
    pages = [await browser.get(f"/h5/c/{campaign.id}?code={attack}")]
    pages.append(await ask_for_code(browser, campaign, phone=attack, nickname=attack, invite_code=attack))
    assert all(attack not in page.text for page in pages)
    assert all("script-src" not in page.headers["content-security-policy"] for page in pages)


async def test_the_first_visit_is_light(browser: httpx.AsyncClient, place: tuple[Campaign, Participant]) -> None:
    page = await browser.get(f"/h5/c/{place[0].id}")
    assert len(page.content) < 50_000
    assert not re.findall(r"<(script|img)\b|<link[^>]*href=\"[^d]", page.text)


async def test_a_name_written_from_right_to_left_turns_nothing_else_around(
    browser: httpx.AsyncClient, resources: Resources, place: tuple[Campaign, Participant]
) -> None:
    campaign, inviter = place
    async with resources.db.tenant(campaign.merchant_id) as session:
        member = await session.get_one(Member, (campaign.merchant_id, inviter.member_id))
        member.nickname = "\u202e王大力"
    page = await browser.get(f"/h5/c/{campaign.id}?code={inviter.invite_code}")
    assert "<bdi>\u202e***</bdi> 邀请你参加" in page.text
