from __future__ import annotations

import httpx
import pytest
from sqlalchemy import select

from app.campaigns.document import RewardRule
from app.kit import clock, ids
from app.models import Referral, Reward
from app.resources import Resources
from tests.factories import MerchantFixture
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
