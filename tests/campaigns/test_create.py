from __future__ import annotations

from typing import Any

import httpx
from dirty_equals import IsPartialDict, IsStr
from sqlalchemy import select

from app.kit import ids
from app.models import AuditEntry, CampaignRule, PosterTemplate
from app.resources import Resources
from tests.factories import MerchantFixture, make_merchant

CASE_BOOK: dict[str, Any] = {
    "name": "案例集分销",
    "kind": "distribution",
    "product": {"name": "案例集 + 年度会员", "price_minor": 5900, "currency": "CNY", "stock": 8000},
    "commission": {"levels": [{"level": 1, "rate_bps": 3000}, {"level": 2, "rate_bps": 1000}]},
}


async def test_a_draft_is_answered_whole(api: httpx.AsyncClient) -> None:
    answer = await api.post("/v1/campaigns", json={**CASE_BOOK, "metadata": {"season": "winter"}})
    assert answer.status_code == 201, answer.text
    assert answer.json() == IsPartialDict(
        id=IsStr(regex="cmp_.{26}"),
        object="campaign",
        status="draft",
        livemode=False,
        rule_version=1,
        product={**CASE_BOOK["product"], "kind": "goods"},
        commission={
            "levels": [
                {"level": 1, "rate_bps": 3000, "amount_minor": None},
                {"level": 2, "rate_bps": 1000, "amount_minor": None},
            ],
            "rules": [],
            "tiers": [],
            "self_purchase": False,
            "hold_from": "payment",
            "hold_days": 7,
            "refund_window_days": 0,
            "rate_cap_bps": 5000,
            "promoter_budget_minor": None,
        },
        rewards=[],
        attribution={"model": "first_touch", "window_days": 30, "binding": {"mode": "days", "days": 30}},
        metadata={"season": "winter"},
        published_at=None,
    )
    assert (await api.get(f"/v1/campaigns/{answer.json()['id']}")).json() == answer.json()


async def test_refer_a_friend_gives_both_sides_thirty_days_where_rewards_are_left_out(api: httpx.AsyncClient) -> None:
    answer = await api.post("/v1/campaigns", json={"name": "邀请有礼", "kind": "refer_a_friend"})
    inviter, invitee = answer.json()["rewards"]
    assert inviter == IsPartialDict(key="inviter_days", on="phone_verified", to="inviter", days=30, cap_days=365)
    assert invitee == IsPartialDict(key="invitee_days", on="signup", to="invitee", days=30, cap_days=None)


async def test_no_rewards_are_made_up_where_none_were_wanted(api: httpx.AsyncClient) -> None:
    answer = await api.post("/v1/campaigns", json={"name": "邀请", "kind": "refer_a_friend", "rewards": []})
    assert answer.json()["rewards"] == []


async def test_missing_reward_keys_are_made_unique_and_an_inviter_is_capped(api: httpx.AsyncClient) -> None:
    rewards = [
        {"on": "signup", "to": "inviter", "days": 10},
        {"on": "order_paid", "to": "inviter", "days": 20, "cap_days": 100},
        {"key": "inviter_days_2", "on": "phone_verified", "to": "inviter", "days": 5},
    ]
    answer = await api.post("/v1/campaigns", json={"name": "邀请", "kind": "refer_a_friend", "rewards": rewards})
    kept = [(reward["key"], reward["cap_days"]) for reward in answer.json()["rewards"]]
    assert kept == [("inviter_days", 365), ("inviter_days_3", 100), ("inviter_days_2", 365)]


async def test_a_permanent_binding_has_no_days(api: httpx.AsyncClient) -> None:
    body = {**CASE_BOOK, "attribution": {"binding": {"mode": "permanent"}}}
    answer = await api.post("/v1/campaigns", json=body)
    assert answer.json()["attribution"]["binding"] == {"mode": "permanent", "days": None}


async def test_the_first_version_of_the_rules_and_an_audit_row_are_kept(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign_id = (await api.post("/v1/campaigns", json=CASE_BOOK)).json()["id"]
    async with resources.db.tenant(merchant.test_id) as session:
        versions = (await session.scalars(select(CampaignRule.version).filter_by(campaign_id=campaign_id))).all()
        entry = (await session.scalars(select(AuditEntry).filter_by(subject_id=campaign_id))).one()
    assert versions == [1]
    assert (entry.action, entry.actor[:4]) == ("campaign.create", "key_")


async def test_own_poster_templates_only(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    own, foreign = ids.new("tpl"), ids.new("tpl")
    other = await make_merchant(resources)
    for merchant_id, template_id in ((merchant.test_id, own), (other.test_id, foreign)):
        async with resources.db.tenant(merchant_id) as session:
            session.add(PosterTemplate(merchant_id=merchant_id, id=template_id, name="海报", document={}))
    answer = await api.post("/v1/campaigns", json={**CASE_BOOK, "poster_template_ids": [own]})
    assert answer.json()["poster_template_ids"] == [own]
    answer = await api.post("/v1/campaigns", json={**CASE_BOOK, "poster_template_ids": [own, foreign]})
    assert (answer.status_code, answer.json()["code"]) == (404, "poster_template_not_found")


async def test_a_list_shows_newest_first_and_filters(api: httpx.AsyncClient) -> None:
    first = (await api.post("/v1/campaigns", json=CASE_BOOK)).json()["id"]
    second = (await api.post("/v1/campaigns", json={"name": "邀请", "kind": "refer_a_friend"})).json()["id"]
    await api.post(f"/v1/campaigns/{first}/publish")

    async def listed(**query: str) -> list[str]:
        answer = await api.get("/v1/campaigns", params=query)
        return [campaign["id"] for campaign in answer.json()["data"]]

    assert await listed() == [second, first]
    assert await listed(status="active") == [first]
    assert await listed(status="draft") == [second]
    assert await listed(kind="refer_a_friend") == [second]
    page = (await api.get("/v1/campaigns", params={"limit": "1"})).json()
    assert page["has_more"]
    assert await listed(limit="1", cursor=page["next_cursor"]) == [first]


async def test_another_tenants_campaign_is_no_campaign(api: httpx.AsyncClient, live_api: httpx.AsyncClient) -> None:
    campaign_id = (await api.post("/v1/campaigns", json=CASE_BOOK)).json()["id"]
    for action in ("check", "publish", "pause", "resume", "end", "clone"):
        foreign = await live_api.post(f"/v1/campaigns/{campaign_id}/{action}")
        unknown = await live_api.post(f"/v1/campaigns/{ids.new('cmp')}/{action}")
        malformed = await live_api.post(f"/v1/campaigns/x/{action}")
        for answer in (foreign, unknown, malformed):
            assert (answer.status_code, answer.json()["code"]) == (404, "campaign_not_found")
    assert (await live_api.get(f"/v1/campaigns/{campaign_id}")).status_code == 404
    assert (await live_api.patch(f"/v1/campaigns/{campaign_id}", json={})).status_code == 404
    assert (await live_api.get("/v1/campaigns")).json()["data"] == []


async def test_instants_are_answered_in_utc_from_the_first_answer_on(api: httpx.AsyncClient) -> None:
    body = {**CASE_BOOK, "starts_at": "2098-12-31T08:00:00+08:00", "ends_at": "2099-01-01T00:00:00Z"}
    created = (await api.post("/v1/campaigns", json=body)).json()
    assert (created["starts_at"], created["ends_at"]) == ("2098-12-31T00:00:00Z", "2099-01-01T00:00:00Z")
    assert (await api.get(f"/v1/campaigns/{created['id']}")).json() == created


async def test_a_clone_is_a_draft_with_the_same_offer_and_no_dates(api: httpx.AsyncClient) -> None:
    body = {**CASE_BOOK, "ends_at": "2099-01-01T00:00:00Z", "rules_text": "规则", "metadata": {"a": 1}}
    source = (await api.post("/v1/campaigns", json=body)).json()
    await api.patch(f"/v1/campaigns/{source['id']}", json={"commission": {"levels": [{"level": 1, "rate_bps": 100}]}})
    source = (await api.post(f"/v1/campaigns/{source['id']}/publish")).json()
    answer = await api.post(f"/v1/campaigns/{source['id']}/clone")
    assert answer.status_code == 201
    own = {"id", "created_at", "status", "starts_at", "ends_at", "published_at", "cloned_from_id", "rule_version"}
    copy = answer.json()
    assert {k: v for k, v in copy.items() if k not in own} == {k: v for k, v in source.items() if k not in own}
    assert copy == IsPartialDict(status="draft", cloned_from_id=source["id"], rule_version=1, ends_at=None)
    assert source["rule_version"] == 2
