"""Who opens the page in WeChat is asked of WeChat, which pays by openid alone."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from app.kit import clock, ids, outward
from app.kit.errors import Forbidden, Unavailable
from app.models import Checkout, Member
from app.orders.providers import wechat_login
from app.orders.providers.protocol import payment_key
from app.resources import Resources
from app.settings import get_keyring
from tests.factories import MerchantFixture
from tests.factories.wechat_pay import WechatPayFake, by_wechat, save_wechat_pay, wechat_pay_settings

IN_WECHAT = {"User-Agent": "Mozilla/5.0 (iPhone) MicroMessenger/8.0.50"}
OPENID = "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"
SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture
async def fake(live_api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> WechatPayFake:
    made = WechatPayFake(wechat_pay_settings(app_secret=SECRET))
    await save_wechat_pay(live_api, made)
    monkeypatch.setattr(outward, "new_client", lambda _: made.client())
    return made


@pytest.fixture
async def checkout(resources: Resources, merchant: MerchantFixture) -> Checkout:
    return await by_wechat(resources, merchant)


@pytest.fixture
def wechat(browser: httpx.AsyncClient) -> httpx.AsyncClient:
    browser.headers.update(IN_WECHAT)
    browser.follow_redirects = False
    return browser


async def look(resources: Resources, checkout: Checkout) -> Checkout:
    async with resources.db.tenant(checkout.merchant_id) as session:
        return await session.get_one(Checkout, (checkout.merchant_id, checkout.id))


async def state_of(wechat: httpx.AsyncClient, checkout: Checkout) -> str:
    """As WeChat hands it back."""
    sent = await wechat.get(f"/h5/pay/{checkout.id}")
    return dict(parse_qsl(urlsplit(sent.headers["location"]).query))["state"]


async def come_back(wechat: httpx.AsyncClient, checkout: Checkout, **query: str) -> str:
    answer = await wechat.get(f"/h5/pay/{checkout.id}/wechat", params=query)
    assert answer.status_code == 303
    return str(answer.headers["location"])


async def test_a_stranger_in_wechat_is_sent_there_and_pays(
    wechat: httpx.AsyncClient, resources: Resources, fake: WechatPayFake, checkout: Checkout
) -> None:
    sent = await wechat.get(f"/h5/pay/{checkout.id}")
    address = urlsplit(sent.headers["location"])
    query = parse_qsl(address.query)
    assert (sent.status_code, address.netloc, address.path) == (303, "open.weixin.qq.com", "/connect/oauth2/authorize")
    assert [name for name, _ in query] == ["appid", "redirect_uri", "response_type", "scope", "state"]
    given = dict(query)
    assert given["redirect_uri"] == f"https://t.invitree.cn/h5/pay/{checkout.id}/wechat"
    assert (given["appid"], given["scope"], address.fragment) == (
        fake.settings.app_id,
        "snsapi_base",
        "wechat_redirect",
    )
    assert given["state"].isalnum()
    assert len(given["state"]) <= 128
    assert SECRET not in sent.headers["location"]

    fake.codes["c0de"] = OPENID
    assert await come_back(wechat, checkout, code="c0de", state=given["state"]) == f"/h5/pay/{checkout.id}"
    assert "微信支付 ¥59.00" in (await wechat.get(f"/h5/pay/{checkout.id}")).text
    assert "WeixinJSBridge" in (await wechat.post(f"/h5/pay/{checkout.id}")).text
    assert fake.trades[payment_key(checkout.id)]["payer"] == {"openid": OPENID}


async def test_the_payer_is_not_the_member_therefore(
    wechat: httpx.AsyncClient, resources: Resources, fake: WechatPayFake, checkout: Checkout
) -> None:
    fake.codes["c0de"] = OPENID
    await come_back(wechat, checkout, code="c0de", state=await state_of(wechat, checkout))
    assert (await look(resources, checkout)).payer_openid == OPENID
    async with resources.db.tenant(checkout.merchant_id) as session:
        assert (await session.get_one(Member, (checkout.merchant_id, checkout.member_id))).openid is None
        raw = await (await session.connection()).exec_driver_sql("SELECT payer_openid FROM checkouts")
        assert OPENID.encode() not in bytes(raw.scalar_one())


@pytest.mark.parametrize(
    ("code", "state"),
    [("wrong", None), ("", None), ("c0de", ""), ("c0de", "0" * 72), ("c0de", "x" * 72), ("é" * 600, None)],
    ids=["code", "no code", "no state", "forged", "nonsense", "odd code"],
)
async def test_what_fails_says_how_else_to_pay_and_does_not_go_round(
    wechat: httpx.AsyncClient,
    resources: Resources,
    fake: WechatPayFake,
    checkout: Checkout,
    code: str,
    state: str | None,
) -> None:
    fake.codes["c0de"] = OPENID
    given = await state_of(wechat, checkout) if state is None else state
    failed = await come_back(wechat, checkout, code=code, state=given)
    assert failed == f"/h5/pay/{checkout.id}?login=failed"
    page = await wechat.get(failed)
    assert (page.status_code, "在浏览器打开" in page.text, "暂时无法确认你的微信身份" in page.text) == (200, True, True)
    assert (await look(resources, checkout)).payer_openid is None


async def test_wechat_being_away_shows_no_secret(
    wechat: httpx.AsyncClient,
    fake: WechatPayFake,
    checkout: Checkout,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError(f"away: {request.url}", request=request)

    state = await state_of(wechat, checkout)
    monkeypatch.setattr(outward, "new_client", lambda _: httpx.AsyncClient(transport=httpx.MockTransport(away)))
    assert (await come_back(wechat, checkout, code="c0de", state=state)).endswith("login=failed")
    assert SECRET not in "".join(capsys.readouterr())


async def test_a_state_is_for_one_checkout_and_a_while(checkout: Checkout) -> None:
    now, ring = clock.utcnow(), get_keyring()
    state = wechat_login.new_state(ring, checkout_id=checkout.id, now=now)
    wechat_login.require_state(ring, state, checkout_id=checkout.id, now=now + timedelta(seconds=600))
    for other, later in ((ids.new("ord"), 0), (checkout.id, 602), (checkout.id, -2)):
        with pytest.raises(Forbidden, match="wechat_login_expired"):
            wechat_login.require_state(ring, state, checkout_id=other, now=now + timedelta(seconds=later))


@pytest.mark.parametrize(
    "told", ["[]", "{}", '{"openid": 5}', '{"openid": "a\\u0000bcdefg"}', "nonsense", '{"openid":"x"}']
)
async def test_what_is_no_openid_is_none(told: str) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, text=told))
    async with httpx.AsyncClient(transport=transport) as client:
        with pytest.raises(Unavailable, match="wechat_login_failed"):
            await wechat_login.openid_of(
                client, "http://127.0.0.1:1", settings=wechat_pay_settings(app_secret=SECRET), code="c0de"
            )


async def test_who_is_known_who_uses_a_browser_and_who_has_begun_is_not_sent(
    wechat: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, fake: WechatPayFake, checkout: Checkout
) -> None:
    known = await by_wechat(resources, merchant, openid=OPENID)
    assert (await wechat.get(f"/h5/pay/{known.id}")).status_code == 200
    elsewhere = {"User-Agent": "Mozilla/5.0 Safari"}
    assert (await wechat.get(f"/h5/pay/{checkout.id}", headers=elsewhere)).status_code == 200
    state = await state_of(wechat, checkout)
    await wechat.post(f"/h5/pay/{checkout.id}", headers=elsewhere)
    assert (await wechat.get(f"/h5/pay/{checkout.id}")).status_code == 200
    fake.codes["c0de"] = OPENID
    assert await come_back(wechat, checkout, code="c0de", state=state) == f"/h5/pay/{checkout.id}"
    assert ((await look(resources, checkout)).payer_openid, fake.calls["login"]) == (None, 0)


async def test_without_an_app_secret_the_page_says_what_to_do(
    wechat: httpx.AsyncClient, live_api: httpx.AsyncClient, fake: WechatPayFake, checkout: Checkout
) -> None:
    fake.settings = wechat_pay_settings()
    await save_wechat_pay(live_api, fake)
    page = await wechat.get(f"/h5/pay/{checkout.id}")
    assert (page.status_code, "在浏览器打开" in page.text) == (200, True)
    assert await come_back(wechat, checkout, code="c0de", state="x") == f"/h5/pay/{checkout.id}"


async def test_coming_back_is_bounded(wechat: httpx.AsyncClient, fake: WechatPayFake, checkout: Checkout) -> None:
    answers = [await wechat.get(f"/h5/pay/{checkout.id}/wechat") for _ in range(21)]
    assert [answer.status_code for answer in answers] == [303] * 20 + [429]
