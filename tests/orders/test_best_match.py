"""Rules by product and by tier, and what a promoter buys, as orders tell them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from dirty_equals import IsPartialDict

from app.campaigns.document import CommissionLevel, CommissionRule, PromoterTier, SpecialRule
from app.resources import Resources
from tests.factories import MerchantFixture
from tests.factories.shops import Till, open_shop

L1, L2 = CommissionLevel(level=1, rate_bps=1_000), CommissionLevel(level=2, rate_bps=500)
GOLD = CommissionRule(
    levels=(L1, L2),
    tiers=(PromoterTier(key="silver", min_orders=2), PromoterTier(key="gold", min_amount_minor=20_000)),
    rules=(
        SpecialRule(key="silver_rates", tier="silver", levels=(CommissionLevel(level=1, rate_bps=2_000),)),
        SpecialRule(key="gold_rates", tier="gold", levels=(CommissionLevel(level=1, rate_bps=3_000),)),
        SpecialRule(key="book", product="案例集", levels=(CommissionLevel(level=1, amount_minor=1_500),)),
    ),
)


@pytest.fixture
def rule() -> CommissionRule:
    return GOLD


@pytest.fixture
async def till(api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, rule: CommissionRule) -> Till:
    return Till(api, resources, await open_shop(resources, merchant, commission=rule))


def told(order: dict[str, Any], level: int = 1) -> list[tuple[str | None, str | None, int]]:
    """Tier, rule and amount of each line."""
    parts = [part for part in order["explanation"] if part["level"] == level]
    return [(part["tier"], part["rule_key"], part["amount_minor"]) for part in parts]


async def test_a_promoter_rises_by_what_direct_friends_buy_and_falls_by_what_they_return(till: Till) -> None:
    first, second = await till.sell(), await till.sell()
    assert told(first) == told(second) == [(None, "default", 590)]
    third = await till.sell()
    assert told(third) == [("silver", "silver_rates", 1_180)]
    assert third["explanation"][0] == IsPartialDict(
        tier_progress={"orders": 2, "amount_minor": 11_800},
        lost=[
            {"rule_key": "default", "rate_bps": 1_000, "amount_minor": 590, "arithmetic": "5900 × 1000 ÷ 10000 = 590"}
        ],
    )
    fourth = await till.sell(amount_minor=20_000)
    assert told(await till.sell()) == [("gold", "gold_rates", 1_770)]
    await till.refunded(fourth["id"], 20_000)
    assert told(await till.sell(amount_minor=1)) == [("gold", "default", 0)], "a tie, by key"
    await till.refunded(third["id"], 5_900)
    assert told(await till.sell()) == [("silver", "silver_rates", 1_180)]
    assert await till.get(f"/v1/orders/{third['id']}") == IsPartialDict(
        explanation=third["explanation"], refunded_minor=5_900
    )
    await till.check_books()


async def test_friends_of_friends_raise_nobody(till: Till) -> None:
    order = [await till.sell() for _ in range(3)][-1]
    assert told(order, 2) == [(None, "default", 295)]
    assert order["explanation"][1]["tier_progress"] == {"orders": 0, "amount_minor": 0}


async def test_each_line_has_the_rule_of_its_product(till: Till) -> None:
    lines = [
        {"external_line_id": "a", "product": "案例集", "amount_minor": 2_900},
        {"external_line_id": "b", "product": "年度会员", "amount_minor": 3_000},
    ]
    order = await till.sell(lines=lines)
    assert told(order) == [(None, "book", 1_450), (None, "default", 300)]
    book = order["explanation"][0]
    assert book["arithmetic"] == "fixed sum of 1500, of which 1450 is left under the cap"
    assert [offer["rule_key"] for offer in book["lost"]] == ["default"]
    assert told(order, 2) == [(None, "default", 0), (None, "default", 150)]


@pytest.mark.parametrize("rule", [CommissionRule(levels=(L1, L2), self_purchase=True)])
async def test_where_it_is_switched_on_a_promoter_earns_on_the_own_order(till: Till) -> None:
    shop = till.shop
    order = await till.sell()
    assert [(row["level"], row["beneficiary_id"], row["amount_minor"]) for row in order["commissions"]] == [
        (1, shop.buyer.id, 590),
        (2, shop.first.id, 295),
    ]
    await till.refunded(order["id"], 5_900)
    assert await till.balance(shop.buyer) == (0, 0)
    await till.check_books()


async def test_where_it_is_off_the_buyer_earns_nothing(till: Till) -> None:
    order = await till.sell()
    assert till.shop.buyer.id not in [part["beneficiary_id"] for part in order["explanation"]]
    assert await till.balance(till.shop.buyer) == (0, 0)


@pytest.mark.parametrize("rule", [CommissionRule(rules=(SpecialRule(key="book", product="案例集", levels=(L1,)),))])
async def test_a_line_that_no_rule_matches_says_so(till: Till) -> None:
    order = await till.sell()
    assert [(part["reason"], part["rule_key"]) for part in order["explanation"]] == [("no_rule", None)]
    assert order["commissions"] == []
