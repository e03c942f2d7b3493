from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit.errors import Conflict, Unprocessable
from app.models import Participant
from app.payouts import accounts, payees
from app.payouts.views import payee_account_view
from app.resources import Resources
from tests.factories import MerchantFixture, make_campaign, make_participant
from tests.factories.locks import until_blocked
from tests.factories.payables import NOW, make_payable
from tests.payouts.conftest import Office


@pytest.mark.parametrize(
    ("kind", "typed", "normal", "masked"),
    [
        ("bank", " 6222 0212-3456 7890123 ", "6222021234567890123", "****0123"),
        ("bank", "６２２２０２１２３４５６", "622202123456", "****3456"),
        ("alipay", "Zhang@Example.COM", "zhang@example.com", "z***@example.com"),
        ("alipay", "+86 138 1234 5678", "13812345678", "****5678"),
        ("alipay", "2088102012345678", "2088102012345678", "****5678"),
        ("wechat", "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o", "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o", "****eS6o"),
    ],
)
def test_accounts_have_one_normal_form_and_a_mask(kind: payees.Kind, typed: str, normal: str, masked: str) -> None:
    assert payees.normalise_account(kind, typed) == normal
    assert payees.mask(kind, normal) == masked


@pytest.mark.parametrize(
    ("kind", "typed"),
    [
        ("bank", "12ab5678"),
        ("bank", "123"),
        ("bank", ""),
        ("alipay", "zhang"),
        ("alipay", "a b@c.cn"),
        ("alipay", "=cmd|x@e.com"),
        ("alipay", "＋x@e.com"),
        ("alipay", "-x@e.com"),
        ("alipay", "'x@e.com"),
        ("wechat", "中文中文中文"),
    ],
)
def test_what_cannot_be_an_account_is_refused(kind: payees.Kind, typed: str) -> None:
    with pytest.raises(Unprocessable, match="payee_account_invalid"):
        payees.normalise_account(kind, typed)


@pytest.mark.parametrize(
    ("typed", "name"), [(" 张 小明\t", "张 小明"), ("Jose\u0301", "José"), ("\ufeff李四", "李四"), ("'Abd", "'Abd")]
)
def test_names_lose_what_nobody_sees(typed: str, name: str) -> None:
    assert payees.normalise_name(typed) == name


def test_a_name_of_nothing_is_refused() -> None:
    with pytest.raises(Unprocessable, match="real_name_missing"):
        payees.normalise_name(" \u200b\t")


@pytest.mark.parametrize("typed", ["-李四", "=李四", "＝李四", " @李四", "李|=四", "\u200b+1"])
def test_a_name_that_no_payment_file_can_hold_is_refused(typed: str) -> None:
    with pytest.raises(Unprocessable, match="real_name_invalid"):
        payees.normalise_name(typed)


async def test_the_same_account_is_the_same_row(office: Office) -> None:
    promoter = await make_payable(office.session, office.merchant_id, 700, payee=False)
    scope: dict[str, Any] = {"merchant_id": office.merchant_id, "member_id": promoter.member_id, "kind": "bank"}
    first, new = await accounts.save(
        office.session, **scope, account="6222021234567890123", real_name="张晓明", now=NOW
    )
    again, new_again = await accounts.save(
        office.session, **scope, account="6222 0212 3456 7890 123", real_name="张小明", now=NOW
    )
    assert (first.id, new, new_again) == (again.id, True, False)
    assert payee_account_view(again)["real_name"] == "张**"
    assert again.real_name == "张小明"


async def test_a_name_is_not_changed_under_a_payout(office: Office) -> None:
    promoter = await make_payable(office.session, office.merchant_id, 700, account="6222021234567890123")
    await office.build()
    scope: dict[str, Any] = {"merchant_id": office.merchant_id, "member_id": promoter.member_id, "kind": "bank"}
    with pytest.raises(Conflict, match="payee_account_in_use"):
        await accounts.save(office.session, **scope, account="6222021234567890123", real_name="李四", now=NOW)


async def test_account_and_name_are_sealed_and_can_be_looked_up(office: Office) -> None:
    one = await make_payable(office.session, office.merchant_id, 700, account="6222021234567890123")
    two = await make_payable(office.session, office.merchant_id, 700, account="6222021234567890123")
    rows = (await office.session.execute(text("SELECT account, real_name, account_index FROM payee_accounts"))).all()
    assert one.member_id != two.member_id
    assert len({row.account_index for row in rows}) == 1
    assert len({row.account for row in rows}) == 2
    assert all("张小明".encode() not in row.real_name and b"6222" not in row.account for row in rows)


SHARED: dict[str, Any] = {"kind": "bank", "account": "6222021234567890123", "real_name": "张小明"}


async def save_shared(session: AsyncSession, participant: Participant) -> None:
    own: dict[str, Any] = {"merchant_id": participant.merchant_id, "member_id": participant.member_id}
    await accounts.save(session, **own, now=NOW, **SHARED)


async def test_who_buys_and_who_earns_by_it_are_not_paid_to_one_account(office: Office) -> None:
    """Whichever of them gives it first; the two levels that are paid, and nobody else."""
    campaign = await make_campaign(office.session, office.merchant_id)
    second = await make_participant(office.session, campaign)
    first = await make_participant(office.session, campaign, inviter=second)
    buyer = await make_participant(office.session, campaign, inviter=first)
    last = await make_participant(office.session, campaign, inviter=buyer)
    await save_shared(office.session, second)
    for below in (first, buyer):
        with pytest.raises(Conflict, match="payee_account_of_invite"):
            await save_shared(office.session, below)
    await save_shared(office.session, last)
    for above in (buyer, first):
        with pytest.raises(Conflict, match="payee_account_of_invite"):
            await save_shared(office.session, above)
    await save_shared(office.session, second)


async def test_a_family_that_a_stranger_invited_may_share_an_account(office: Office) -> None:
    campaign = await make_campaign(office.session, office.merchant_id)
    stranger = await make_participant(office.session, campaign)
    for _ in range(2):
        await save_shared(office.session, await make_participant(office.session, campaign, inviter=stranger))


async def test_of_two_who_give_one_account_at_once_the_second_is_refused(
    resources: Resources, merchant: MerchantFixture
) -> None:
    async with resources.db.tenant(merchant.test_id) as session:
        campaign = await make_campaign(session, merchant.test_id)
        inviter = await make_participant(session, campaign)
        friend = await make_participant(session, campaign, inviter=inviter)

    async def friend_saves() -> None:
        async with resources.db.tenant(merchant.test_id) as other:
            await save_shared(other, friend)

    async with resources.db.tenant(merchant.test_id) as session:
        await save_shared(session, inviter)
        second = asyncio.create_task(friend_saves())
        await until_blocked(resources, second)
    with pytest.raises(Conflict, match="payee_account_of_invite"):
        await second
