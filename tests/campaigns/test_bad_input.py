"""What bad input gets: a stable code, where the fault is, and nothing written."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

GOOD: dict[str, Any] = {
    "name": "案例集分销",
    "kind": "distribution",
    "product": {"name": "案例集", "price_minor": 5900, "currency": "CNY"},
    "commission": {"levels": [{"level": 1, "rate_bps": 3000}]},
}


def levels(*given: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return {"commission": {"levels": list(given), **rest}}


def product(**given: Any) -> dict[str, Any]:
    return {"product": {"name": "案例集", "price_minor": 5900, **given}}


def reward(**given: Any) -> dict[str, Any]:
    return {"on": "signup", "to": "invitee", "days": 30, **given}


L1, L2 = {"level": 1, "rate_bps": 3000}, {"level": 2, "rate_bps": 1000}
LATE, EARLY = "2027-02-01T00:00:00Z", "2027-01-01T00:00:00Z"
OWN_CODES = [
    (levels(L1, L2, {"level": 3, "rate_bps": 1}), "commission_level_not_allowed", "/commission/levels/2/level"),
    (levels({"level": 0, "rate_bps": 1}), "commission_level_not_allowed", "/commission/levels/0/level"),
    (levels(L2, L2), "commission_level_repeated", "/commission/levels"),
    (levels({"level": 1}), "commission_level_ambiguous", "/commission/levels/0"),
    (levels({**L1, "amount_minor": 5}), "commission_level_ambiguous", "/commission/levels/0"),
    (levels(L1, {"level": 2, "rate_bps": 2001}), "commission_rate_cap_exceeded", "/commission/levels"),
    (levels(L1, rate_cap_bps=2999), "commission_rate_cap_exceeded", "/commission/levels"),
    (product(currency="USD"), "currency_unsupported", "/product/currency"),
    ({"starts_at": LATE, "ends_at": EARLY}, "ends_at_before_starts_at", "/ends_at"),
    ({"starts_at": LATE, "ends_at": LATE}, "ends_at_before_starts_at", "/ends_at"),
    ({"rewards": [reward(key="a"), reward(key="a")]}, "reward_key_repeated", "/rewards"),
    ({"rewards": [reward(keep_days=7)]}, "reward_keep_days_not_allowed", "/rewards/0/keep_days"),
    ({"attribution": {"binding": {"mode": "days", "days": None}}}, "binding_days_missing", "/attribution/binding/days"),
    (
        {"attribution": {"binding": {"mode": "permanent", "days": 3}}},
        "binding_days_not_allowed",
        "/attribution/binding/days",
    ),
    ({"kind": "milestone", "tiers": [{"target": 3}]}, "campaign_kind_unavailable", "/kind"),
    ({"kind": "leaderboard"}, "campaign_kind_unavailable", "/kind"),
    ({"kind": "deposit"}, "campaign_kind_unavailable", "/kind"),
    ({"tiers": [{"target": 3}]}, "tiers_not_allowed", "/tiers"),
]
FIELDS = [
    ({"kind": "lottery"}, "/kind"),
    ({"name": "  "}, "/name"),
    ({"name": None}, "/name"),
    ({"name": "长" * 121}, "/name"),
    (product(price_minor=-1), "/product/price_minor"),
    (product(price_minor=59.5), "/product/price_minor"),
    (product(price_minor="5900"), "/product/price_minor"),
    (product(price_minor=10**18), "/product/price_minor"),
    (product(stock=-1), "/product/stock"),
    (product(currency="yuan"), "/product/currency"),
    (levels({"level": 1, "rate_bps": -1}), "/commission/levels/0/rate_bps"),
    (levels({"level": 1, "rate_bps": 0.5}), "/commission/levels/0/rate_bps"),
    (levels({"level": 1, "rate_bps": 10_001}), "/commission/levels/0/rate_bps"),
    (levels({"level": "1", "rate_bps": 1}), "/commission/levels/0/level"),
    (levels({"level": True, "rate_bps": 1}), "/commission/levels/0/level"),
    (levels(L1, hold_days=-1), "/commission/hold_days"),
    ({"rewards": [reward(days=0)]}, "/rewards/0/days"),
    ({"rewards": [reward(days=1.5)]}, "/rewards/0/days"),
    ({"rewards": [reward(key="Ünïcode")]}, "/rewards/0/key"),
    ({"rewards": [reward(to="grandparent")]}, "/rewards/0/to"),
    ({"rewards": [reward()] * 21}, "/rewards"),
    ({"starts_at": "2027-01-01T00:00:00"}, "/starts_at"),
    ({"starts_at": 1_795_000_000}, "/starts_at"),
    ({"starts_at": "1795000000"}, "/starts_at"),
    ({"ends_at": "9999-12-31T23:59:59-23:00"}, "/ends_at"),
    ({"starts_at": "0001-01-01T00:00:00+14:00"}, "/starts_at"),
    ({"budget_minor": -5}, "/budget_minor"),
    ({"landing": {"headline": 5}}, "/landing/headline"),
    ({"landing": {"own": "x" * 70_000}}, "/landing"),
    ({"poster_template_ids": ["cmp_01h2xcejqtf2nbrexx3vqjhp41"]}, "/poster_template_ids/0"),
    ({"commision": {}}, "/commision"),
    ({"metadata": {str(n): n for n in range(51)}}, "/metadata"),
]


@pytest.mark.parametrize(("fault", "code", "pointer"), OWN_CODES)
async def test_a_rule_that_is_broken_has_a_code_of_its_own(
    api: httpx.AsyncClient, fault: dict[str, Any], code: str, pointer: str
) -> None:
    answer = await api.post("/v1/campaigns", json={**GOOD, **fault})
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert (await api.get("/v1/campaigns")).json()["data"] == []


@pytest.mark.parametrize(("fault", "pointer"), FIELDS)
async def test_a_field_that_does_not_fit_is_pointed_at(
    api: httpx.AsyncClient, fault: dict[str, Any], pointer: str
) -> None:
    answer = await api.post("/v1/campaigns", json={**GOOD, **fault})
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed"), answer.text
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"name": "x', 400, "json_invalid"),
        (b'{"name": "a\\u0000b", "kind": "distribution"}', 422, "nul_byte"),
        (b'{"name": "' + b"x" * 1_100_000 + b'"}', 413, "body_too_large"),
        (b"[]", 422, "validation_failed"),
    ],
)
async def test_an_unreadable_body_is_refused_by_name(
    api: httpx.AsyncClient, body: bytes, status: int, code: str
) -> None:
    answer = await api.post("/v1/campaigns", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_every_fault_of_the_rules_is_listed_at_once(api: httpx.AsyncClient) -> None:
    fault = levels({"level": 3, "rate_bps": 9000}, L1, L1)
    answer = await api.post("/v1/campaigns", json={**GOOD, **fault})
    assert [error["code"] for error in answer.json()["errors"]] == [
        "commission_level_not_allowed",
        "commission_level_repeated",
        "commission_rate_cap_exceeded",
    ]


@pytest.mark.parametrize("query", ["status=over", "kind=lottery", "limit=0", "limit=101"])
async def test_a_filter_that_means_nothing_is_refused(api: httpx.AsyncClient, query: str) -> None:
    answer = await api.get(f"/v1/campaigns?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")


@pytest.mark.parametrize(("fault", "code", "pointer"), OWN_CODES)
async def test_a_change_is_held_to_the_same_rules(
    api: httpx.AsyncClient, fault: dict[str, Any], code: str, pointer: str
) -> None:
    before = (await api.post("/v1/campaigns", json=GOOD)).json()
    answer = await api.patch(f"/v1/campaigns/{before['id']}", json=fault)
    if "tiers" in fault:
        code, pointer = "validation_failed", "/tiers"
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert (await api.get(f"/v1/campaigns/{before['id']}")).json() == before
