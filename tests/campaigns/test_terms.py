"""What rules of a commission may not be, and what the check says of them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from app.api.v1.campaigns import TIERED
from app.campaigns import compliance
from app.campaigns.document import CommissionRule, RuleDocument
from tests.campaigns.test_compliance import NOW, Facts

L1, L2 = {"level": 1, "rate_bps": 3_000}, {"level": 2, "rate_bps": 1_000}
SILVER, GOLD = {"key": "silver", "min_orders": 10}, {"key": "gold", "min_orders": 50, "min_amount_minor": 1_000_000}
SOUND = {
    "levels": [L1, L2],
    "rules": [
        {"key": "gold_rates", "tier": "gold", "levels": [{"level": 1, "rate_bps": 4_000}]},
        {"key": "book", "product": "案例集", "levels": [{"level": 1, "amount_minor": 500}]},
    ],
    "tiers": [SILVER, GOLD],
    "self_purchase": True,
}


def body(**commission: Any) -> dict[str, Any]:
    return {
        "name": "案例集分销",
        "kind": "distribution",
        "product": {"name": "案例集", "price_minor": 5_900},
        "commission": commission,
    }


def rules(*given: dict[str, Any], **rest: Any) -> dict[str, Any]:
    named = [{"key": f"rule_{place}", "levels": [L1], **one} for place, one in enumerate(given)]
    return body(levels=[L1, L2], rules=named, **rest)


async def test_rules_tiers_and_the_switch_are_kept_and_shown(api: httpx.AsyncClient) -> None:
    made = await api.post("/v1/campaigns", json=body(**SOUND))
    assert made.status_code == 201, made.text
    shown = made.json()["commission"]
    assert [(rule["key"], rule["product"], rule["tier"]) for rule in shown["rules"]] == [
        ("gold_rates", None, "gold"),
        ("book", "案例集", None),
    ]
    assert [tier["min_amount_minor"] for tier in shown["tiers"]] == [None, 1_000_000]
    assert shown["self_purchase"] is True
    check = await api.post(f"/v1/campaigns/{made.json()['id']}/check")
    assert check.json()["errors"] == []


@pytest.mark.parametrize(
    ("sent", "code", "pointer"),
    [
        (
            rules({"levels": [{"level": 3, "rate_bps": 1}]}),
            "commission_level_not_allowed",
            "/commission/rules/0/levels/0/level",
        ),
        (rules({"levels": [{"level": 1}]}), "commission_level_ambiguous", "/commission/rules/0/levels/0"),
        (rules({"levels": [L2, L2]}), "commission_level_repeated", "/commission/rules/0/levels"),
        (rules({"key": "a"}, {"key": "a"}), "commission_rule_key_repeated", "/commission/rules"),
        (rules({"key": "default"}), "commission_rule_key_repeated", "/commission/rules"),
        (rules({"tier": "gold"}), "commission_tier_unknown", "/commission/rules/0/tier"),
        (rules(tiers=[SILVER, SILVER]), "commission_tier_key_repeated", "/commission/tiers"),
        (rules(tiers=[{"key": "a"}]), "commission_tier_unreachable", "/commission/tiers/0"),
        (rules(tiers=[GOLD, SILVER]), "commission_tiers_not_rising", "/commission/tiers/1/min_orders"),
        (
            rules({"levels": [{"level": 1, "rate_bps": 4_001}]}),
            "commission_rate_cap_exceeded",
            "/commission/levels",
        ),
        (
            rules({"product": "b", "levels": [{"level": 2, "rate_bps": 2_001}]}),
            "commission_rate_cap_exceeded",
            "/commission/rules",
        ),
        (
            rules({"tier": "silver", "levels": [{"level": 2, "rate_bps": 2_001}]}, tiers=[SILVER]),
            "commission_rate_cap_exceeded",
            "/commission/levels",
        ),
    ],
)
async def test_terms_that_cannot_be_are_refused_by_name(
    api: httpx.AsyncClient, sent: dict[str, Any], code: str, pointer: str
) -> None:
    answer = await api.post("/v1/campaigns", json=sent)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert answer.json()["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize(
    ("sent", "pointer"),
    [
        (body(self_purchase="yes"), "/commission/self_purchase"),
        (rules({"levels": []}), "/commission/rules/0/levels"),
        (rules({"key": "Not A Key"}), "/commission/rules/0/key"),
        (body(tiers=[{"key": "a", "min_orders": 0}]), "/commission/tiers/0/min_orders"),
        (body(tiers=[{"key": "a", "min_friends": 5}]), "/commission/tiers/0/min_friends"),
    ],
)
async def test_fields_that_do_not_fit_are_pointed_at(
    api: httpx.AsyncClient, sent: dict[str, Any], pointer: str
) -> None:
    """There is no tier by the number of friends: that would be pay for heads."""
    answer = await api.post("/v1/campaigns", json=sent)
    assert answer.status_code == 422
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]


def errors(facts: Facts, commission: dict[str, Any]) -> list[tuple[str, str]]:
    document = RuleDocument(commission=CommissionRule.model_validate(commission))
    return [(found.code, found.pointer) for found in compliance.check(facts, document, now=NOW).errors]


def test_a_fixed_sum_past_level_one_is_found_in_every_rule() -> None:
    fixed = {"key": "heads", "levels": [{"level": 2, "amount_minor": 100}]}
    found = errors(Facts(price_minor=0), {"levels": [L1], "rules": [fixed]})
    assert found[0] == ("head_count_pay", "/commission/rules/0/levels/0/amount_minor")


def test_the_dearest_pair_is_held_against_the_price() -> None:
    gold = {"key": "gold_rates", "tier": "gold", "levels": [{"level": 1, "amount_minor": 2_400}]}
    dear = {"levels": [L1, L2], "rules": [gold], "tiers": [GOLD]}
    assert errors(Facts(), dear) == [("commission_cap_exceeded", "/commission/levels")]
    other = {"levels": [L1, L2], "rules": [{**gold, "tier": None, "product": "别的"}]}
    assert errors(Facts(), other) == []


def test_rules_written_before_there_were_any_of_these_still_read() -> None:
    old = {"levels": [{**L1, "amount_minor": None}], "hold_days": 7, "rate_cap_bps": 5_000}
    read = CommissionRule.model_validate(old)
    assert [rule.key for rule in read.all_rules()] == ["default"]
    assert (read.tiers, read.self_purchase) == ((), False)


async def test_the_example_of_the_description_can_be_published(api: httpx.AsyncClient) -> None:
    made = (await api.post("/v1/campaigns", json=TIERED)).json()
    assert (await api.post(f"/v1/campaigns/{made['id']}/publish")).json()["status"] == "active"
