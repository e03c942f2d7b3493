"""Nobody earns on what they buy themselves: not at the second level either, nor by another account of theirs."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from app.campaigns.document import CommissionRule
from app.kit import clock, ids
from app.models import Order, PayeeAccount
from tests.factories import make_campaign
from tests.factories.campaigns import TWO_LEVELS
from tests.factories.shops import Shop, Till

OWN = TWO_LEVELS.model_copy(update={"self_purchase": True})


async def join(till: Till, campaign_id: str, name: str, code: str | None = None) -> dict[str, Any]:
    """As a promoter, by somebody's code."""
    body = {"member": {"external_id": name}} | ({"invite_code": code} if code else {})
    answer = await till.post(f"/v1/campaigns/{campaign_id}/participants", body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def chain(till: Till, campaign_id: str) -> list[dict[str, Any]]:
    """Somebody, a friend, and somebody's second account as the friend's friend: both are paid to one bank account."""
    elsewhere = await _campaign(till)
    for name in ("one", "two"):
        member_id = (await join(till, elsewhere, name))["member_id"]
        account = {"kind": "bank", "account": "6222021234567890123", "real_name": "张小明"}
        assert (await till.post(f"/v1/members/{member_id}/payee-accounts", account)).status_code == 201
    people = [await join(till, campaign_id, "one")]
    for name in ("friend", "two", "last"):
        people.append(await join(till, campaign_id, name, people[-1]["invite_code"]))
    return people


async def _campaign(till: Till, **changes: Any) -> str:
    async with till.resources.db.tenant(till.shop.merchant_id) as session:
        return (await make_campaign(session, till.shop.merchant_id, **changes)).id


async def bought(
    till: Till, campaign_id: str, who: dict[str, Any], **more: Any
) -> list[tuple[str | None, int, str | None]]:
    """By level whose, how much, and why not."""
    order = await till.sell(
        campaign_id=campaign_id, participant_id=who["id"], **{"paid_at": clock.utcnow().isoformat(), **more}
    )
    await till.check_books()
    return [(part["beneficiary_id"], part["amount_minor"], part["reason"]) for part in order["explanation"]]


async def test_the_second_level_pays_no_other_account_of_the_buyer(till: Till, shop: Shop) -> None:
    one, friend, two, last = await chain(till, shop.campaign.id)
    paid = [(friend["id"], 1_770, None), (one["id"], 0, "self_purchase")]
    assert await bought(till, shop.campaign.id, two) == paid
    assert await bought(till, shop.campaign.id, last) == [(two["id"], 1_770, None), (friend["id"], 590, None)]


async def test_who_may_earn_on_the_own_purchase_does_so_once(till: Till) -> None:
    campaign_id = await _campaign(till, commission=OWN)
    _, friend, two, _ = await chain(till, campaign_id)
    assert await bought(till, campaign_id, two) == [(two["id"], 1_770, None), (friend["id"], 590, None)]


@pytest.mark.parametrize(("commission", "level"), [(TWO_LEVELS, 1), (OWN, 2)])
async def test_two_accounts_that_were_given_while_they_were_bound_are_one_buyer(
    till: Till, commission: CommissionRule, level: int
) -> None:
    """Neither the signup nor the account could see the other."""
    campaign_id = await _campaign(till, commission=commission)
    inviter = await join(till, campaign_id, "one")
    buyer = await join(till, campaign_id, "two", inviter["invite_code"])
    async with till.resources.db.tenant(till.shop.merchant_id) as session:
        for who in (inviter, buyer):
            row = {"merchant_id": till.shop.merchant_id, "id": ids.new("pac"), "member_id": who["member_id"]}
            session.add(PayeeAccount(**row, kind="bank", account="1", account_index=b"1", real_name="张小明"))
    assert (await bought(till, campaign_id, buyer))[level - 1] == (inviter["id"], 0, "self_purchase")
    async with till.resources.db.tenant(till.shop.merchant_id) as session:
        assert list(await session.scalars(select(Order.inviter_id))) == [None], "nor is a tier reached by it"


async def test_so_it_is_for_what_was_paid_before_a_rebinding(till: Till, shop: Shop) -> None:
    one, friend, two, _ = await chain(till, shop.campaign.id)
    stranger, before = await join(till, shop.campaign.id, "stranger"), clock.utcnow().isoformat()
    body = {"inviter_id": stranger["id"], "reason": "scanned the wrong poster"}
    assert (await till.post(f"/v1/participants/{two['id']}/rebind", body)).status_code == 200
    late = await bought(till, shop.campaign.id, two, paid_at=before)
    assert late == [(friend["id"], 1_770, None), (one["id"], 0, "self_purchase")]
    assert (await bought(till, shop.campaign.id, two))[0] == (stranger["id"], 1_770, None)
    assert (await till.post(f"/v1/participants/{friend['id']}/rebind", body)).status_code == 200
    late = await bought(till, shop.campaign.id, two, paid_at=before)
    assert late == [(friend["id"], 1_770, None), (one["id"], 0, "self_purchase")]
