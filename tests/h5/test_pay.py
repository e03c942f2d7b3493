from __future__ import annotations

import base64
import hashlib
import html
import json
import re

import httpx
import pytest

from app.kit import clock, outward
from app.models import Campaign, Member
from app.orders.providers.protocol import payment_key
from app.resources import Resources
from app.worker import checkouts as worker
from tests.factories import MerchantFixture
from tests.factories.checkouts import Desk
from tests.factories.forms import new_phone, shown_code
from tests.factories.shops import Shop, Till, open_shop
from tests.factories.wechat_pay import WechatPayFake, by_wechat, save_wechat_pay

IN_WECHAT = {"User-Agent": "Mozilla/5.0 (iPhone) MicroMessenger/8.0.50"}


@pytest.fixture
async def shop(resources: Resources, merchant: MerchantFixture) -> Shop:
    return await open_shop(resources, merchant, stock=2)


@pytest.fixture
def desk(resources: Resources, shop: Shop) -> Desk:
    return Desk(resources, shop)


async def _join(browser: httpx.AsyncClient, shop: Shop) -> str:
    """The address of one's own page."""
    form = {"phone": new_phone(), "agree": "yes", "invite_code": shop.first.invite_code}
    address = f"/h5/c/{shop.campaign.id}/join"
    code = shown_code(await browser.post(address, data={**form, "step": "send"}))
    return str((await browser.post(address, data={**form, "step": "verify", "code": code})).url)


def _title(page: httpx.Response) -> str:
    found = re.search(r"<h1>(.*?)</h1>", page.text)
    assert found, page.text
    return found[1]


async def test_a_button_that_the_cashier_does_not_have_pays_nothing(browser: httpx.AsyncClient, desk: Desk) -> None:
    checkout = await desk.open()
    cashier = await browser.post(f"/h5/pay/{checkout.id}")
    for form in ({"action": "refund"}, {"action": ""}, {}):
        assert (await browser.post(str(cashier.url), data=form)).status_code == 422
    assert ((await desk.look(checkout)).status, await desk.count("orders")) == ("open", 0)


async def test_a_link_does_not_let_its_holder_ask_the_provider_without_end(
    browser: httpx.AsyncClient, desk: Desk
) -> None:
    checkout = await desk.open()
    pressed = [(await browser.post(f"/h5/pay/{checkout.id}/check")).status_code for _ in range(21)]
    assert pressed == [200] * 20 + [429]
    assert f'href="/h5/pay/{checkout.id}">返回' in (await browser.post(f"/h5/pay/{checkout.id}/check")).text
    assert (await browser.get(f"/h5/pay/{checkout.id}")).status_code == 200


async def test_a_friend_joins_buys_and_pays(browser: httpx.AsyncClient, shop: Shop, desk: Desk) -> None:
    me = await _join(browser, shop)
    assert "立即购买" in (await browser.get(me)).text
    page = await browser.post(f"{me}/buy")
    assert (_title(page), page.status_code) == ("确认付款", 200)
    assert "¥59.00" in page.text
    assert str((await browser.post(f"{me}/buy")).url) == str(page.url)
    cashier = await browser.post(str(page.url))
    assert _title(cashier) == "模拟收银台"
    paid = await browser.post(str(cashier.url), data={"action": "pay"})
    assert (_title(paid), str(paid.url)) == ("支付成功", str(page.url))
    assert (await desk.count("orders"), await desk.left()) == (1, 1)
    assert "已付款" in (await browser.get(me)).text
    again = await browser.post(str(cashier.url), data={"action": "fail"})
    assert _title(again) == "支付成功"


async def test_a_payment_that_fails_may_be_tried_again(browser: httpx.AsyncClient, shop: Shop, desk: Desk) -> None:
    me = await _join(browser, shop)
    page = await browser.post(f"{me}/buy")
    cashier = await browser.post(str(page.url))
    failed = await browser.post(str(cashier.url), data={"action": "fail"})
    assert (_title(failed), await desk.left()) == ("支付未完成", 2)
    again = await browser.post(f"{me}/buy")
    assert (_title(again), again.url != page.url) == ("确认付款", True)


async def test_what_is_paid_late_is_waited_for(browser: httpx.AsyncClient, desk: Desk) -> None:
    checkout = await desk.open()
    cashier = await browser.post(f"/h5/pay/{checkout.id}")
    waiting = await browser.post(str(cashier.url), data={"action": "late"})
    assert _title(waiting) == "等待付款结果"
    asked = await browser.post(f"/h5/pay/{checkout.id}/check")
    assert _title(asked) == "等待付款结果"
    seen = await desk.look(checkout)
    assert seen.due_at is not None
    assert seen.due_at <= clock.utcnow()


async def test_after_its_end_nobody_can_begin_to_pay(browser: httpx.AsyncClient, desk: Desk) -> None:
    checkout = await desk.open()
    await desk.advance(900)
    page = await browser.get(f"/h5/pay/{checkout.id}")
    assert (_title(page), "<form" in page.text) == ("订单已超时", False)
    assert _title(await browser.post(f"/h5/pay/{checkout.id}")) == "订单已超时"
    assert (await browser.get(f"/h5/pay/{checkout.id}/cashier")).status_code == 404


async def test_of_a_payment_that_may_have_been_made_nothing_is_promised(browser: httpx.AsyncClient, desk: Desk) -> None:
    checkout = await desk.open()
    cashier = await browser.post(f"/h5/pay/{checkout.id}")
    await browser.post(str(cashier.url), data={"action": "after_end"})
    await desk.advance(900)
    for _ in range(2):
        page = await browser.get(f"/h5/pay/{checkout.id}")
        assert (_title(page), "如果已经扣款" in page.text, "没有扣款" in page.text) == ("订单已超时", True, False)
        while await worker.follow_checkouts(desk.resources):
            pass
    assert (await desk.look(checkout)).status == "expired"
    await desk.advance(60)
    assert "我已付款，查看结果" in (await browser.get(f"/h5/pay/{checkout.id}")).text
    await browser.post(f"/h5/pay/{checkout.id}/check")  # nobody has to wait for the hour to be over
    while await worker.follow_checkouts(desk.resources):
        pass
    assert _title(await browser.get(f"/h5/pay/{checkout.id}")) == "支付成功"


async def test_what_the_provider_has_closed_is_told_as_not_paid(browser: httpx.AsyncClient, desk: Desk) -> None:
    checkout = await desk.open()
    await browser.post(f"/h5/pay/{checkout.id}")
    await desk.advance(900)
    while await worker.follow_checkouts(desk.resources):
        pass
    page = await browser.get(f"/h5/pay/{checkout.id}")
    assert (_title(page), "没有扣款" in page.text, "<form" in page.text) == ("订单已超时", True, False)


async def test_what_was_given_back_is_shown(browser: httpx.AsyncClient, api: httpx.AsyncClient, desk: Desk) -> None:
    checkout = await desk.open()
    await desk.hear(checkout)
    assert "退款金额" not in (await browser.get(f"/h5/pay/{checkout.id}")).text
    await Till(api, desk.resources, desk.shop).refunded(checkout.id, 2_900)
    page = await browser.get(f"/h5/pay/{checkout.id}")
    assert (_title(page), "退款金额</dt><dd>¥29.00" in page.text) == ("支付成功", True)


async def test_who_has_the_link_sees_no_people(browser: httpx.AsyncClient, resources: Resources, desk: Desk) -> None:
    checkout = await desk.open()
    async with resources.db.tenant(desk.merchant_id) as session:
        (await session.get_one(Member, (desk.merchant_id, checkout.member_id))).nickname = "张小明"
    page = await browser.get(f"/h5/pay/{checkout.id}")
    assert "张小明" not in page.text
    assert checkout.member_id not in page.text
    assert "/h5/me/" not in page.text


@pytest.mark.parametrize("order", ["ord_01h2xcejqtf2nbrexx3vqjhp41", "nonsense"])
async def test_an_order_that_is_none(browser: httpx.AsyncClient, order: str) -> None:
    page = await browser.get(f"/h5/pay/{order}")
    assert (page.status_code, _title(page)) == (404, "没有找到这个订单")


async def test_what_is_sold_out_is_told(browser: httpx.AsyncClient, resources: Resources, shop: Shop) -> None:
    me = await _join(browser, shop)
    async with resources.db.tenant(shop.merchant_id) as session:
        (await session.get_one(Campaign, (shop.merchant_id, shop.campaign.id))).stock = 0
    assert "暂时售完" in (await browser.get(me)).text
    page = await browser.post(f"{me}/buy")
    assert (page.status_code, _title(page)) == (409, "暂时没有库存")
    assert f'href="{httpx.URL(me).path}">返回' in page.text


async def test_the_page_is_light_and_runs_no_script(browser: httpx.AsyncClient, desk: Desk) -> None:
    page = await browser.get(f"/h5/pay/{(await desk.open()).id}")
    assert len(page.content) < 50_000
    assert "<script" not in page.text
    assert "script-src" not in page.headers["content-security-policy"]


async def test_wechat_itself_pays_by_openid_alone(
    browser: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    stranger = await by_wechat(resources, merchant)
    page = await browser.get(f"/h5/pay/{stranger.id}", headers=IN_WECHAT)
    assert "在浏览器打开" in page.text
    assert "微信支付 ¥" not in page.text
    assert "微信支付 ¥59.00" in (await browser.get(f"/h5/pay/{stranger.id}")).text
    known = await by_wechat(resources, merchant, openid="oUpF8uMuAJO_M2pxb1Q9zNjWeS6o")
    assert "微信支付 ¥59.00" in (await browser.get(f"/h5/pay/{known.id}", headers=IN_WECHAT)).text


def _away(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("away", request=request)


async def test_in_wechat_the_page_calls_its_script_and_lets_no_other_run(
    browser: httpx.AsyncClient,
    resources: Resources,
    merchant: MerchantFixture,
    live_api: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake = WechatPayFake()
    await save_wechat_pay(live_api, fake)
    monkeypatch.setattr(outward, "new_client", lambda _: fake.client())
    checkout = await by_wechat(resources, merchant, openid="oUpF8uMuAJO_M2pxb1Q9zNjWeS6o")
    page = await browser.post(f"/h5/pay/{checkout.id}", headers=IN_WECHAT)
    call = json.loads(html.unescape(re.search(r'data-call="(.*?)"', page.text)[1]))  # type: ignore[index]
    assert (call["appId"], call["signType"]) == (fake.settings.app_id, "RSA")
    script = re.search(r"<script>(.*?)</script>", page.text, re.DOTALL)[1]  # type: ignore[index]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'; frame-src weixin:" in page.headers["content-security-policy"]
    other = await browser.get(f"/h5/pay/{checkout.id}")
    assert "微信支付 ¥" not in other.text  # begun in WeChat, it goes on there


async def test_in_a_browser_the_form_leads_to_wechat(
    browser: httpx.AsyncClient,
    resources: Resources,
    merchant: MerchantFixture,
    live_api: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake = WechatPayFake()
    await save_wechat_pay(live_api, fake)
    monkeypatch.setattr(outward, "new_client", lambda _: fake.client())
    checkout = await by_wechat(resources, merchant)
    page = await browser.get(f"/h5/pay/{checkout.id}")
    assert "form-action 'self' https://wx.tenpay.com" in page.headers["content-security-policy"]
    on = await browser.post(f"/h5/pay/{checkout.id}", follow_redirects=False)
    assert (on.status_code, on.headers["location"][:24]) == (303, "https://wx.tenpay.com/cg")
    assert fake.trades[payment_key(checkout.id)]["notify_url"].endswith(f"/wechat/{merchant.live_id}")


async def test_a_provider_that_is_away_is_told_and_nothing_is_lost(
    browser: httpx.AsyncClient,
    resources: Resources,
    merchant: MerchantFixture,
    live_api: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await save_wechat_pay(live_api, WechatPayFake())
    away = httpx.MockTransport(_away)
    monkeypatch.setattr(outward, "new_client", lambda _: httpx.AsyncClient(transport=away))
    checkout = await by_wechat(resources, merchant)
    page = await browser.post(f"/h5/pay/{checkout.id}")
    assert (page.status_code, _title(page)) == (503, "暂时无法付款")
    assert f'href="/h5/pay/{checkout.id}">返回' in page.text
    assert _title(await browser.get(f"/h5/pay/{checkout.id}")) == "等待付款结果"
