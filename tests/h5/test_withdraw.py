"""A participant withdraws on a page, without JavaScript."""

from __future__ import annotations

import re

import httpx
import pytest
from sqlalchemy import select

from app.models import Campaign, Member, Participant, PayeeAccount, Withdrawal
from app.payouts import planning, service
from app.payouts.planning import Choice
from app.resources import Resources
from tests.factories import MerchantFixture, make_campaign, make_participant
from tests.factories.forms import new_phone, shown_code
from tests.factories.payables import NOW, make_commission, make_payee, make_user

ACCOUNT = {"account": "zhang@example.com", "real_name": "张小明"}


@pytest.fixture
async def campaign(resources: Resources, merchant: MerchantFixture) -> Campaign:
    async with resources.db.tenant(merchant.test_id) as session:
        return await make_campaign(session, merchant.test_id)


@pytest.fixture
async def own(browser: httpx.AsyncClient, api: httpx.AsyncClient, campaign: Campaign, resources: Resources) -> str:
    """The path of the page, with the browser signed in and 17.70 yuan payable."""
    return await sign_in(browser, api, campaign, resources, 1_770)


async def sign_in(
    browser: httpx.AsyncClient, api: httpx.AsyncClient, campaign: Campaign, resources: Resources, amount: int
) -> str:
    phone = new_phone()
    made = await api.post(f"/v1/campaigns/{campaign.id}/participants", json={"member": {"phone": phone}})
    async with resources.db.tenant(campaign.merchant_id) as session:
        promoter = await session.get_one(Participant, (campaign.merchant_id, made.json()["id"]))
        await make_commission(session, promoter, amount)
    door = f"/h5/c/{campaign.id}/sign-in"
    code = shown_code(await browser.post(door, data={"step": "send", "phone": phone}))
    await browser.post(door, data={"step": "verify", "phone": phone, "code": code})
    return f"/h5/me/{promoter.id}/withdraw"


async def states(resources: Resources, merchant: MerchantFixture) -> list[tuple[str, int]]:
    async with resources.db.tenant(merchant.test_id) as session:
        found = await session.scalars(select(Withdrawal).order_by(Withdrawal.id))
        return [(each.status, each.amount_minor) for each in found]


async def test_an_account_a_request_and_a_change_of_mind(
    browser: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, own: str
) -> None:
    page = await browser.get(own)
    assert "可提现 17.70 元" in page.text
    assert ' disabled aria-describedby="why"' in page.text
    page = await browser.post(f"{own}/account", data=ACCOUNT)
    assert ("支付宝 z***@example.com 张**" in page.text, " disabled " in page.text) == (True, False)
    page = await browser.post(own)
    assert ("已申请" in page.text, await states(resources, merchant)) == (True, [("requested", 1_770)])
    again = await browser.post(own)
    assert (again.status_code, "还有一笔提现没有完成" in again.text) == (409, True)
    (withdrawal,) = re.findall(r'name="withdrawal" value="(\w+)"', page.text)
    page = await browser.post(f"{own}/cancel", data={"withdrawal": withdrawal})
    assert ("已取消" in page.text, "可提现 17.70 元" in page.text) == (True, True)
    assert await states(resources, merchant) == [("cancelled", 1_770)]


async def test_an_earlier_account_saved_again_is_the_one_that_is_paid(
    browser: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, own: str
) -> None:
    for account in ("zhang@example.com", "li@example.com", "zhang@example.com"):
        page = await browser.post(f"{own}/account", data={**ACCOUNT, "account": account})
        assert f"{account[0]}***@example.com" in page.text
    async with resources.db.tenant(merchant.test_id) as session:
        plan = await planning.plan(session, merchant_id=merchant.test_id, choice=Choice())
    await browser.post(own)
    async with resources.db.tenant(merchant.test_id) as session:
        (withdrawal,) = (await session.scalars(select(Withdrawal))).all()
        paid = await session.get_one(PayeeAccount, (merchant.test_id, withdrawal.payee_account_id))
    assert paid.account == "zhang@example.com"
    assert [each.payee_account_id for each in plan.payouts] == [paid.id]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"account": "nobody", "real_name": "张小明"}, "请输入正确的支付宝账号"),
        ({"account": "zhang@example.com", "real_name": " "}, "请填写实名认证的姓名"),
        ({}, "请输入正确的支付宝账号"),
    ],
)
async def test_what_is_wrong_with_an_account_is_said_on_the_page(
    browser: httpx.AsyncClient,
    resources: Resources,
    own: str,
    merchant: MerchantFixture,
    given: dict[str, str],
    text: str,
) -> None:
    page = await browser.post(f"{own}/account", data=given)
    assert (page.status_code, text in page.text) == (422, True)
    assert all(f'value="{typed}"' in page.text for typed in given.values())
    async with resources.db.tenant(merchant.test_id) as session:
        assert (await session.scalars(select(PayeeAccount))).all() == []
    refused = await browser.post(own)
    assert (refused.status_code, "请先在下面填写收款账号" in refused.text) == (409, True)


async def test_what_is_approved_may_be_cancelled_and_what_is_sent_may_not(
    browser: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, own: str, api: httpx.AsyncClient
) -> None:
    await browser.post(f"{own}/account", data=ACCOUNT)
    page = await browser.post(own)
    (withdrawal,) = re.findall(r'name="withdrawal" value="(\w+)"', page.text)
    async with resources.db.tenant(merchant.test_id) as session:
        people = [await make_user(session, merchant.test_id, role) for role in ("operator", "finance")]
        batch = (await service.build(session, merchant_id=merchant.test_id, actor_id=people[0], now=NOW)).batch
        await service.approve(session, merchant_id=merchant.test_id, batch_id=batch.id, actor_id=people[1], now=NOW)
    assert "已审核" in (await browser.get(own)).text
    sent = await api.post(f"/v1/payout-batches/{batch.id}/send", headers={"Idempotency-Key": "k"})
    assert sent.status_code == 200, sent.text
    page = await browser.post(f"{own}/cancel", data={"withdrawal": withdrawal})
    assert (page.status_code, "已经开始打款，不能取消了" in page.text) == (409, True)
    assert ('name="withdrawal"' in page.text, "打款中" in page.text) == (False, True)


async def test_somebody_elses_withdrawal_is_as_if_it_did_not_exist(
    browser: httpx.AsyncClient,
    api: httpx.AsyncClient,
    campaign: Campaign,
    resources: Resources,
    merchant: MerchantFixture,
    own: str,
) -> None:
    await browser.post(f"{own}/account", data=ACCOUNT)
    page = await browser.post(own)
    (withdrawal,) = re.findall(r'name="withdrawal" value="(\w+)"', page.text)
    browser.cookies.clear()
    assert (await browser.get(own)).status_code == 403
    other = await sign_in(browser, api, campaign, resources, 900)
    for foreign in (withdrawal, "wdr_01h2xcejqtf2nbrexx3vqjhp41", "", "x"):
        refused = await browser.post(f"{other}/cancel", data={"withdrawal": foreign})
        assert refused.status_code == 404
    assert (await browser.post(own)).status_code == 404
    assert await states(resources, merchant) == [("requested", 1_770)]


async def test_a_form_of_another_site_withdraws_nothing(
    browser: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, own: str
) -> None:
    await browser.post(f"{own}/account", data=ACCOUNT)
    refused = await browser.post(own, headers={"Sec-Fetch-Site": "cross-site"})
    assert (refused.status_code, await states(resources, merchant)) == (403, [])


@pytest.mark.parametrize(("fee", "status"), [("999", 409), ("1.5", 422), ("٣", 422), ("9" * 17, 422)], ids=str)
async def test_a_fee_that_was_not_shown_withdraws_nothing(
    browser: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, own: str, fee: str, status: int
) -> None:
    await browser.post(f"{own}/account", data=ACCOUNT)
    refused = await browser.post(own, data={"fee": fee})
    assert (refused.status_code, await states(resources, merchant)) == (status, [])


async def test_whose_openid_is_known_is_paid_by_wechat_in_one_tap(
    browser: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, own: str
) -> None:
    assert "用我的微信收款" not in (await browser.get(own)).text
    tap = {"kind": "wechat", "real_name": "张小明", "account": "oSomebodyElses_1"}
    assert (await browser.post(f"{own}/account", data=tap)).status_code == 422, "none is known yet"
    async with resources.db.tenant(merchant.test_id) as session:
        promoter = await session.get_one(Participant, (merchant.test_id, own.split("/")[3]))
        member = await session.get_one(Member, (merchant.test_id, promoter.member_id))
        member.openid = "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"
    assert "用我的微信收款" in (await browser.get(own)).text
    page = await browser.post(f"{own}/account", data=tap)
    assert (page.status_code, "张**" in page.text) == (200, True)
    async with resources.db.tenant(merchant.test_id) as session:
        (saved,) = (await session.scalars(select(PayeeAccount))).all()
    assert (saved.kind, saved.account, saved.real_name) == ("wechat", "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o", "张小明")


async def test_the_inviters_account_is_refused_on_the_page(
    browser: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, campaign: Campaign, own: str
) -> None:
    async with resources.db.tenant(merchant.test_id) as session:
        promoter = await session.get_one(Participant, (merchant.test_id, own.split("/")[3]))
        friend = await make_participant(session, campaign, inviter=promoter)
        await make_payee(session, merchant.test_id, friend.member_id, kind="alipay", account=ACCOUNT["account"])
    page = await browser.post(f"{own}/account", data=ACCOUNT)
    assert (page.status_code, "请填写本人的账号" in page.text) == (409, True)
