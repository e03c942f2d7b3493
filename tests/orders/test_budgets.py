"""What a campaign and each promoter may cost is never exceeded, by whatever orders at whatever moment."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from app.campaigns import budget, queries, service
from app.campaigns.document import CommissionLevel, CommissionRule
from app.kit import clock
from app.ledger.verify import verify
from app.models import Campaign, Commission
from app.orders import refunds
from app.orders.rules import NewOrder, NewRefund
from app.orders.service import create
from app.resources import Resources
from tests.factories import MerchantFixture, make_participant
from tests.factories.campaigns import TWO_LEVELS
from tests.factories.locks import until_blocked
from tests.factories.shops import Shop, Till, open_shop

OWN = TWO_LEVELS.model_copy(update={"promoter_budget_minor": 2_000})


@pytest.fixture
def offer() -> dict[str, Any]:
    """2,360 an order: it pays for two and a bit."""
    return {"budget_minor": 5_000}


@pytest.fixture
async def till(api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, offer: dict[str, Any]) -> Till:
    return Till(api, resources, await open_shop(resources, merchant, **offer))


@pytest.fixture
def shop(till: Till) -> Shop:
    return till.shop


def told(order: dict[str, Any]) -> list[tuple[int, str | None]]:
    return [(part["amount_minor"], part["reason"]) for part in order["explanation"]]


async def spent(resources: Resources, shop: Shop) -> tuple[int, int]:
    """As the campaign counts it, and as its commissions add up."""
    async with resources.db.tenant(shop.merchant_id) as session:
        campaign = await queries.get(session, merchant_id=shop.merchant_id, campaign_id=shop.campaign.id)
        earned = await session.scalar(select(func.coalesce(func.sum(Commission.amount_minor), 0)))
        return campaign.commission_minor, int(earned or 0)


async def sells(resources: Resources, shop: Shop, buyers: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Orders at once, each on a connection of its own."""

    async def sell(buyer: str) -> dict[str, Any]:
        body = shop.order(participant_id=buyer, paid_at=clock.utcnow())
        async with resources.db.tenant(shop.merchant_id) as session:
            found, _ = await create(session, merchant_id=shop.merchant_id, order=NewOrder(**body), now=clock.utcnow())
            return {"explanation": found.order.explanation, "id": found.order.id}

    return await asyncio.gather(*map(sell, buyers or [shop.buyer.id] * 6))


async def test_the_last_order_gets_what_is_left_and_those_after_it_nothing(
    till: Till, shop: Shop, resources: Resources
) -> None:
    orders = [await till.sell() for _ in range(4)]
    assert [told(order) for order in orders] == [
        [(1_770, None), (590, None)],
        [(1_770, None), (590, None)],
        [(280, "budget"), (0, "budget")],
        [(0, "budget"), (0, "budget")],
    ]
    assert orders[2]["explanation"][0]["arithmetic"] == "5900 × 3000 ÷ 10000 = 1770, of which 280 is left of the budget"
    assert [row["amount_minor"] for row in orders[2]["commissions"]] == [280]
    assert orders[3]["commissions"] == []
    assert await spent(resources, shop) == (5_000, 5_000)
    stats = await till.get(f"/v1/campaigns/{shop.campaign.id}/stats")
    assert (stats["budget_minor"], stats["commission_minor"], stats["budget_left_minor"]) == (5_000, 5_000, 0)
    await till.check_books()


async def test_refunds_give_the_budget_back(till: Till, shop: Shop, resources: Resources) -> None:
    first, _, clamped = [await till.sell() for _ in range(3)]
    await till.refunded(clamped["id"], 2_950)
    assert await spent(resources, shop) == (4_860, 4_860)
    await till.refunded(first["id"], 5_900)
    await till.refunded(clamped["id"], 2_950)
    assert await spent(resources, shop) == (2_360, 2_360)
    assert told(await till.sell()) == [(1_770, None), (590, None)]
    assert told(await till.sell()) == [(280, "budget"), (0, "budget")]
    await till.check_books()


async def test_a_refund_that_was_first_leaves_the_budget_as_it_was(
    till: Till, shop: Shop, resources: Resources
) -> None:
    body = shop.order()
    early = {"external_order_id": body["external_order_id"], "external_refund_id": "early", "amount_minor": 5_900}
    assert (await till.post("/v1/refunds", early)).status_code in (201, 202)
    await till.post("/v1/orders", body)
    assert await spent(resources, shop) == (0, 0)
    await till.check_books()


async def test_orders_at_once_never_exceed_the_budget(till: Till, shop: Shop, resources: Resources) -> None:
    orders = await sells(resources, shop)
    assert sum(part["amount_minor"] for order in orders for part in order["explanation"]) == 5_000
    assert await spent(resources, shop) == (5_000, 5_000)
    await till.check_books()


async def test_an_order_waits_for_the_one_that_may_take_the_rest(till: Till, shop: Shop, resources: Resources) -> None:
    """Two connections: the second finds what the first has left."""
    await till.sell()
    async with resources.db.tenant(shop.merchant_id) as session:
        body = shop.order(paid_at=clock.utcnow())
        await create(session, merchant_id=shop.merchant_id, order=NewOrder(**body), now=clock.utcnow())
        second = asyncio.create_task(till.sell())
        await until_blocked(resources, second)
        assert not second.done()
    assert told(await second) == [(280, "budget"), (0, "budget")]


async def test_refunds_and_orders_at_once_keep_the_sum_right(till: Till, shop: Shop, resources: Resources) -> None:
    known = await sells(resources, shop, [shop.buyer.id] * 2)

    async def refund(order_id: str) -> None:
        async with resources.db.tenant(shop.merchant_id) as session:
            back = NewRefund(f"r-{order_id}", 2_950)
            own = shop.merchant_id
            await refunds.refund_order(session, merchant_id=own, order_id=order_id, refund=back, now=clock.utcnow())

    await asyncio.gather(sells(resources, shop, [shop.buyer.id] * 4), *(refund(order["id"]) for order in known))
    counted, earned = await spent(resources, shop)
    assert counted == earned <= 5_000
    await till.check_books()


@pytest.mark.parametrize("offer", [{}])
async def test_without_a_budget_nobody_waits_for_the_campaign(till: Till, shop: Shop, resources: Resources) -> None:
    await till.sell()  # a merchant's very first order opens its accounts in the books
    async with resources.db.tenant(shop.merchant_id) as session:
        body = shop.order(participant_id=shop.second.id, paid_at=clock.utcnow())
        await create(session, merchant_id=shop.merchant_id, order=NewOrder(**body), now=clock.utcnow())
        async with asyncio.timeout(5):
            await till.sell()
    stats = await till.get(f"/v1/campaigns/{shop.campaign.id}/stats")
    assert (stats["budget_minor"], stats["budget_left_minor"]) == (None, None)


async def give_budget(resources: Resources, shop: Shop, amount_minor: int | None) -> Campaign:
    async with resources.db.tenant(shop.merchant_id) as session:
        campaign, _ = await service.change(
            session,
            merchant_id=shop.merchant_id,
            campaign_id=shop.campaign.id,
            fields={"budget_minor": amount_minor},
            actor="usr_test",
            now=clock.utcnow(),
        )
        return campaign


@pytest.mark.parametrize("offer", [{}])
async def test_a_budget_that_comes_later_counts_what_was_earned_before_and_meanwhile(
    till: Till, shop: Shop, resources: Resources
) -> None:
    order = await till.sell()
    await till.refunded(order["id"], 590)
    async with resources.db.tenant(shop.merchant_id) as session:
        body = shop.order(paid_at=clock.utcnow())
        await create(session, merchant_id=shop.merchant_id, order=NewOrder(**body), now=clock.utcnow())
        change = asyncio.create_task(give_budget(resources, shop, 5_000))
        await until_blocked(resources, change)
        late = asyncio.create_task(till.sell())
        await until_blocked(resources, change, late)
    await change
    assert told(await late) == [(516, "budget"), (0, "budget")]
    assert await spent(resources, shop) == (5_000, 5_000)


async def test_a_sum_that_is_off_is_named(till: Till, shop: Shop, resources: Resources) -> None:
    await till.sell()
    async with resources.db.tenant(shop.merchant_id) as session:
        campaign = await queries.lock(session, merchant_id=shop.merchant_id, campaign_id=shop.campaign.id)
        campaign.commission_minor -= 1
    async with resources.db.tenant(shop.merchant_id) as session:
        report = await verify(session, merchant_id=shop.merchant_id)
    (found,) = report.differences
    assert (found.check, found.subject) == ("budget_counts_what_was_earned", shop.campaign.id)
    assert (found.expected_minor, found.found_minor) == (2_360, 2_359)


async def test_a_budget_can_be_lowered_taken_away_and_set_again(till: Till, shop: Shop, resources: Resources) -> None:
    await till.sell()
    await give_budget(resources, shop, 1_000)
    assert told(await till.sell()) == [(0, "budget"), (0, "budget")]
    await give_budget(resources, shop, None)
    assert told(await till.sell()) == [(1_770, None), (590, None)]
    changed = await give_budget(resources, shop, 5_000)
    assert (changed.commission_minor, budget.left(changed)) == (4_720, 280)


@pytest.mark.parametrize("offer", [{"commission": OWN}])
async def test_each_promoter_has_a_budget_too(till: Till, shop: Shop, resources: Resources) -> None:
    first, second = await till.sell(), await till.sell()
    assert told(first) == [(1_770, None), (590, None)]
    assert told(second) == [(230, "promoter_budget"), (590, None)]
    assert second["explanation"][0]["arithmetic"].endswith(", of which 230 is left of the promoter's budget")
    await till.refunded(first["id"], 5_900)
    assert told(await till.sell()) == [(1_770, None), (590, None)]
    await till.check_books()


@pytest.mark.parametrize("offer", [{"commission": OWN, "budget_minor": 10_000}])
async def test_friends_who_buy_at_once_never_exceed_a_promoters_budget(
    till: Till, shop: Shop, resources: Resources
) -> None:
    async with resources.db.tenant(shop.merchant_id) as session:
        friends = [(await make_participant(session, shop.campaign, inviter=shop.first)).id for _ in range(5)]
    orders = await sells(resources, shop, [*friends, shop.first.id])
    parts = [part for order in orders for part in order["explanation"]]
    assert sum(part["amount_minor"] for part in parts if part["beneficiary_id"] == shop.first.id) == 2_000
    assert sum(part["amount_minor"] for part in parts if part["beneficiary_id"] == shop.second.id) == 2_000
    assert await spent(resources, shop) == (4_000, 4_000)
    await till.check_books()


@pytest.mark.parametrize("offer", [{"commission": OWN}])
async def test_without_a_campaigns_budget_a_promoters_still_holds_for_orders_at_once(
    till: Till, shop: Shop, resources: Resources
) -> None:
    orders = await sells(resources, shop)
    parts = [part for order in orders for part in order["explanation"]]
    assert sum(part["amount_minor"] for part in parts if part["beneficiary_id"] == shop.first.id) == 2_000
    await till.check_books()


async def test_the_promoters_budget_is_part_of_the_rules(api: httpx.AsyncClient) -> None:
    rule = CommissionRule(levels=(CommissionLevel(level=1, rate_bps=100),), promoter_budget_minor=5_000)
    body = {"name": "a", "kind": "distribution", "commission": rule.model_dump()}
    made = (await api.post("/v1/campaigns", json=body)).json()
    assert made["commission"]["promoter_budget_minor"] == 5_000
    refused = await api.post("/v1/campaigns", json={**body, "commission": {"promoter_budget_minor": -1}})
    assert refused.json()["errors"][0]["pointer"] == "/commission/promoter_budget_minor"
