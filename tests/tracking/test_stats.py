"""Figures of a campaign and of one participant: live counters, people, money."""

from __future__ import annotations

from typing import Any

import httpx

from app.kit import clock, ids
from app.resources import Resources
from tests.factories import make_merchant
from tests.factories.tracking import WECHAT, Link, make_link, settle


async def post(api: httpx.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await api.post(path, json=body, headers={"Idempotency-Key": ids.new("key")})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def sign_up(api: httpx.AsyncClient, link: Link, invite_code: str) -> dict[str, Any]:
    body = {"campaign_id": link.campaign_id, "member": {"external_id": ids.new("ext")}, "invite_code": invite_code}
    made: dict[str, Any] = (await post(api, "/v1/signups", body))["participant"]
    return made


async def buy(api: httpx.AsyncClient, link: Link, buyer: dict[str, Any], *, refunded: int = 0) -> None:
    body = {
        "campaign_id": link.campaign_id,
        "participant_id": buyer["id"],
        "external_order_id": ids.new("ext"),
        "amount_minor": 5_900,
        "currency": "CNY",
        "paid_at": clock.utcnow().isoformat(),
    }
    order = await post(api, "/v1/orders", body)
    if refunded:
        body = {"external_refund_id": ids.new("ext"), "amount_minor": refunded}
        await post(api, f"/v1/orders/{order['id']}/refunds", body)


async def get(api: httpx.AsyncClient, path: str) -> dict[str, Any]:
    answer = await api.get(path)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_people_and_money_are_counted_from_the_rows(api: httpx.AsyncClient, link: Link) -> None:
    friend, _, grandchild = (
        child := await sign_up(api, link, link.code),
        await sign_up(api, link, link.code),
        await sign_up(api, link, child["invite_code"]),
    )
    await buy(api, link, friend, refunded=1_900)
    await buy(api, link, grandchild)
    campaign = await get(api, f"/v1/campaigns/{link.campaign_id}/stats")
    # 30 % and 10 %: 1,770 less 570 of the first order; 1,770 and 590 of the second.
    expected = {
        "object": "campaign_stats",
        "campaign_id": link.campaign_id,
        "currency": "CNY",
        "livemode": False,
        "participants": 4,
        "signups": 3,
        "orders": 2,
        "paid_minor": 11_800,
        "refunded_minor": 1_900,
        "commission_minor": 1_200 + 1_770 + 590,
    }
    assert {name: campaign[name] for name in expected} == expected
    own = await get(api, f"/v1/participants/{link.participant_id}/stats")
    expected = {
        "object": "participant_stats",
        "participant_id": link.participant_id,
        "participants": 3,
        "signups": 2,
        "orders": 1,
        "paid_minor": 5_900,
        "refunded_minor": 1_900,
        "commission_minor": 1_200 + 590,
    }
    assert {name: own[name] for name in expected} == expected


async def test_a_campaign_without_events_has_zeros(api: httpx.AsyncClient, link: Link) -> None:
    found = await get(api, f"/v1/campaigns/{link.campaign_id}/stats")
    numbers = {name: value for name, value in found.items() if isinstance(value, int) and name != "livemode"}
    assert numbers.pop("participants") == 1
    assert set(numbers.values()) == {0}
    assert {"clicks", "scans", "unique_visitors", "bot_hits"} <= numbers.keys()


async def test_figures_are_the_same_live_and_from_the_rows(
    api: httpx.AsyncClient, http: httpx.AsyncClient, resources: Resources, link: Link
) -> None:
    for number, query in enumerate(("", "?s=qr", "?s=qr", "?ch=moments", "")):
        http.cookies.clear()
        await http.get(link.path + query, headers={"User-Agent": f"{WECHAT} {number // 2}"})
    await http.head(link.path)
    paths = (f"/v1/campaigns/{link.campaign_id}/stats", f"/v1/participants/{link.participant_id}/stats")
    live = [await get(api, path) for path in paths]
    await settle(resources)
    await resources.redis.delete("trk:{s0}:ready", "trk:{s1}:ready")
    from_rows = [await get(api, path) for path in paths]
    await resources.redis.flushall()
    await settle(resources)
    assert live == from_rows == [await get(api, path) for path in paths]
    shown = {name: live[0][name] for name in ("clicks", "scans", "unique_visitors", "bot_hits")}
    assert shown == {"clicks": 3, "scans": 2, "unique_visitors": 3, "bot_hits": 1}


async def test_foreign_and_unknown_ids_are_not_found(api: httpx.AsyncClient, resources: Resources, link: Link) -> None:
    foreign = await make_link(resources, (await make_merchant(resources)).test_id)
    for campaign_id in (foreign.campaign_id, ids.new("cmp"), "nonsense"):
        answer = await api.get(f"/v1/campaigns/{campaign_id}/stats")
        assert (answer.status_code, answer.json()["code"]) == (404, "campaign_not_found")
    for participant_id in (foreign.participant_id, ids.new("ptc"), link.campaign_id):
        answer = await api.get(f"/v1/participants/{participant_id}/stats")
        assert (answer.status_code, answer.json()["code"]) == (404, "participant_not_found")
