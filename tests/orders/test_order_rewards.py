from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app.campaigns.document import RewardRule
from app.kit import clock, ids
from app.models import Referral, Reward
from app.orders import refunds, service
from app.orders.rules import NewOrder, NewRefund
from app.resources import Resources
from tests.factories import MerchantFixture
from tests.factories.locks import until_blocked
from tests.factories.shops import Till, open_shop

ON_PURCHASE = (
    RewardRule(key="buyer_days", on="order_paid", to="invitee", days=30),
    RewardRule(key="inviter_days", on="order_paid", to="inviter", days=30, cap_days=365),
)


@pytest.fixture
async def till(api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture) -> Till:
    """A shop whose buyer was promised days for the first purchase, and so was the inviter."""
    till = Till(api, resources, await open_shop(resources, merchant, rewards=ON_PURCHASE))
    shop = till.shop
    keys = {"merchant_id": shop.merchant_id, "campaign_id": shop.campaign.id, "invitee_id": shop.buyer.id}
    async with resources.db.tenant(shop.merchant_id) as session:
        referral = Referral(
            **keys, id=ids.new("ref"), inviter_id=shop.first.id, bound_at=clock.utcnow(), new_member=True, decision={}
        )
        session.add(referral)
        await session.flush()
        for rule, receiver in zip(ON_PURCHASE, (shop.buyer, shop.first), strict=True):
            owed = Reward(
                **keys,
                id=ids.new("rwd"),
                referral_id=referral.id,
                participant_id=receiver.id,
                member_id=receiver.member_id,
                rule_key=rule.key,
                rule_version=1,
                side=rule.to,
                trigger=rule.on,
                days=rule.days,
                cap_days=rule.cap_days,
            )
            session.add(owed)
    return till


async def statuses(till: Till) -> list[str]:
    async with till.resources.db.tenant(till.shop.merchant_id) as session:
        return list(await session.scalars(select(Reward.status).order_by(Reward.id)))


async def test_a_purchase_grants_what_waited_for_it(till: Till) -> None:
    assert await statuses(till) == ["owed", "owed"]
    await till.sell()
    assert await statuses(till) == ["granted", "granted"]


async def test_a_partial_refund_takes_no_days_back(till: Till) -> None:
    order = await till.sell()
    await till.refunded(order["id"], 5_899)
    assert await statuses(till) == ["granted", "granted"]


async def test_a_full_refund_takes_the_days_back(till: Till) -> None:
    order = await till.sell()
    await till.refunded(order["id"], 5_900)
    assert await statuses(till) == ["revoked", "revoked"]


async def test_the_days_stay_while_another_order_stands(till: Till) -> None:
    first, second = await till.sell(), await till.sell()
    await till.refunded(first["id"], 5_900)
    assert await statuses(till) == ["granted", "granted"]
    await till.refunded(second["id"], 5_900)
    assert await statuses(till) == ["revoked", "revoked"]


async def test_an_order_that_was_refunded_before_it_came_gives_no_days(till: Till) -> None:
    early = {"external_order_id": "o-1", "external_refund_id": "r-1", "amount_minor": 5_900}
    await till.post("/v1/refunds", early)
    await till.sell(external_order_id="o-1")
    assert await statuses(till) == ["revoked", "revoked"]


async def days(till: Till) -> list[int]:
    """What stands of the buyer's and of the inviter's membership, in whole days from now."""
    found = []
    for one in (till.shop.buyer, till.shop.first):
        ends_at = (await till.get(f"/v1/members/{one.member_id}/membership"))["ends_at"]
        found.append(round((datetime.fromisoformat(ends_at) - clock.utcnow()) / timedelta(days=1)))
    return found


async def test_who_gives_back_and_buys_again_has_the_days_again(till: Till) -> None:
    """As if the second order had come before the refund of the first."""
    for _ in range(3):
        order = await till.sell()
        assert (await statuses(till), await days(till)) == (["granted", "granted"], [30, 30])
        await till.refunded(order["id"], 5_900)
        assert (await statuses(till), await days(till)) == (["revoked", "revoked"], [0, 0])
    await till.sell()
    await till.sell()
    assert (await statuses(till), await days(till)) == (["granted", "granted"], [30, 30])


async def test_an_order_after_one_that_was_refunded_before_it_came_gives_the_days(till: Till) -> None:
    early = {"external_order_id": "o-1", "external_refund_id": "r-1", "amount_minor": 5_900}
    await till.post("/v1/refunds", early)
    await till.sell(external_order_id="o-1")
    await till.sell()
    assert (await statuses(till), await days(till)) == (["granted", "granted"], [30, 30])


@pytest.mark.parametrize("refunded_first", [True, False])
async def test_what_somebody_has_revoked_no_order_brings_back(till: Till, refunded_first: bool) -> None:
    order = await till.sell()
    async with till.resources.db.tenant(till.shop.merchant_id) as session:
        mine = list(await session.scalars(select(Reward.id)))
    steps = [lambda: till.refunded(order["id"], 5_900), lambda: revoke_all(till, mine)]
    for step in steps if refunded_first else reversed(steps):
        await step()
    await till.sell()
    assert (await statuses(till), await days(till)) == (["revoked", "revoked"], [0, 0])


async def revoke_all(till: Till, reward_ids: list[str]) -> None:
    for reward_id in reward_ids:
        answer = await till.post(f"/v1/rewards/{reward_id}/revoke", {"reason": "one person twice"})
        assert (answer.status_code, answer.json()["status"]) == (200, "revoked")


@pytest.mark.parametrize("refund_first", [True, False])
async def test_a_refund_that_meets_another_order_leaves_the_days(till: Till, refund_first: bool) -> None:
    first, shop, now = await till.sell(), till.shop, clock.utcnow()
    wanted = NewRefund("r-1", 5_900)
    again = NewOrder(shop.campaign.id, "o-2", 5_900, "CNY", now, participant_id=shop.buyer.id)
    async with till.resources.db.tenant(shop.merchant_id) as session:
        own: dict[str, Any] = {"merchant_id": shop.merchant_id, "now": now}
        if refund_first:
            await refunds.refund_order(session, **own, order_id=first["id"], refund=wanted)
            other = asyncio.create_task(till.sell())
        else:
            await service.create(session, **own, order=again)
            other = asyncio.create_task(till.refunded(first["id"], 5_900))
        await until_blocked(till.resources, other)
        assert not other.done()
    await other
    assert (await statuses(till), await days(till)) == (["granted", "granted"], [30, 30])
    await till.check_books()
