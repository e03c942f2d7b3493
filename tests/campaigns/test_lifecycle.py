from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest
from dirty_equals import IsPartialDict
from sqlalchemy import select, text
from sqlalchemy.exc import ProgrammingError

from app.db.outbox import OutboxEvent
from app.kit import clock
from app.models import AuditEntry, CampaignRule
from app.resources import Resources
from tests.factories import MerchantFixture

CASE_BOOK: dict[str, Any] = {
    "name": "案例集分销",
    "kind": "distribution",
    "product": {"name": "案例集", "price_minor": 5900},
    "commission": {"levels": [{"level": 1, "rate_bps": 3000}]},
}
ONE_LEVEL = {"levels": [{"level": 1, "rate_bps": 2000}]}


async def draft(api: httpx.AsyncClient, **fields: Any) -> str:
    answer = await api.post("/v1/campaigns", json={**CASE_BOOK, **fields})
    assert answer.status_code == 201, answer.text
    campaign_id: str = answer.json()["id"]
    return campaign_id


async def act(api: httpx.AsyncClient, campaign_id: str, action: str) -> tuple[int, str]:
    """The HTTP status, and the campaign's status or the error's code."""
    answer = await api.post(f"/v1/campaigns/{campaign_id}/{action}")
    body = answer.json()
    return answer.status_code, body.get("code") or body["status"]


async def events(resources: Resources, merchant: MerchantFixture) -> list[tuple[str, str]]:
    async with resources.db.tenant(merchant.test_id) as session:
        rows = (await session.scalars(select(OutboxEvent).order_by(OutboxEvent.id))).all()
    return [(row.type, row.data["status"]) for row in rows]


def at(**delta: int) -> str:
    return (clock.utcnow() + timedelta(**delta)).isoformat()


async def test_a_campaign_lives_from_draft_to_end(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign_id = await draft(api)
    for action in ("publish", "pause", "resume", "end"):
        await act(api, campaign_id, action)
    ended = (await api.get(f"/v1/campaigns/{campaign_id}")).json()
    assert ended["status"] == "ended"
    assert ended["starts_at"] == ended["published_at"] < ended["ended_at"]
    assert await events(resources, merchant) == [("campaign.published", "active"), ("campaign.ended", "ended")]
    async with resources.db.tenant(merchant.test_id) as session:
        entries = await session.scalars(
            select(AuditEntry.action).filter_by(subject_id=campaign_id).order_by(AuditEntry.id)
        )
        assert [entry.removeprefix("campaign.") for entry in entries] == ["create", "publish", "pause", "resume", "end"]


async def test_a_start_to_come_is_waited_for(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign_id = await draft(api, starts_at=at(days=1))
    assert await act(api, campaign_id, "publish") == (200, "scheduled")
    assert await events(resources, merchant) == [("campaign.published", "scheduled")]
    assert await act(api, campaign_id, "pause") == (409, "campaign_not_active")


async def test_asking_again_for_the_state_it_is_in_writes_nothing(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign_id = await draft(api)
    await act(api, campaign_id, "publish")
    for action, status in (("resume", "active"), ("pause", "paused"), ("pause", "paused"), ("end", "ended")):
        assert await act(api, campaign_id, action) == (200, status)
    before = (await api.get(f"/v1/campaigns/{campaign_id}")).json()
    assert await act(api, campaign_id, "end") == (200, "ended")
    assert (await api.get(f"/v1/campaigns/{campaign_id}")).json() == before
    assert await events(resources, merchant) == [("campaign.published", "active"), ("campaign.ended", "ended")]


@pytest.mark.parametrize(
    ("before", "action", "code"),
    [
        ((), "pause", "campaign_not_published"),
        ((), "end", "campaign_not_published"),
        (("publish",), "publish", "campaign_already_published"),
        (("publish", "end"), "resume", "campaign_ended"),
        (("publish", "end"), "publish", "campaign_ended"),
    ],
)
async def test_what_its_state_does_not_allow_is_refused(
    api: httpx.AsyncClient, before: tuple[str, ...], action: str, code: str
) -> None:
    campaign_id = await draft(api)
    for earlier in before:
        await act(api, campaign_id, earlier)
    assert await act(api, campaign_id, action) == (409, code)


async def test_publishing_without_a_product_is_refused_and_nothing_happens(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign_id = await draft(api, product=None)
    answer = await api.post(f"/v1/campaigns/{campaign_id}/publish")
    assert (answer.status_code, answer.json()["code"]) == (409, "campaign_check_failed")
    assert answer.json()["errors"] == [IsPartialDict(code="product_missing", pointer="/product")]
    assert (await api.get(f"/v1/campaigns/{campaign_id}")).json()["status"] == "draft"
    assert await events(resources, merchant) == []


async def test_a_check_names_errors_and_warnings_with_their_source(api: httpx.AsyncClient) -> None:
    campaign_id = await draft(api, product=None, ends_at=at(days=-1), rules_text="转发到朋友圈即可领取")
    found = (await api.post(f"/v1/campaigns/{campaign_id}/check")).json()
    assert found["object"] == "campaign_check"
    assert [error["code"] for error in found["errors"]] == ["product_missing", "ends_at_past"]
    sharing = next(warning for warning in found["warnings"] if warning["code"] == "copy_induces_sharing")
    assert sharing["pointer"] == "/rules_text"
    assert "微信外部链接内容管理规范" in sharing["source"]


async def test_a_retried_publish_with_its_key_gets_the_first_answer(api: httpx.AsyncClient) -> None:
    campaign_id, key = await draft(api), {"Idempotency-Key": "publish-1"}
    first = await api.post(f"/v1/campaigns/{campaign_id}/publish", headers=key)
    again = await api.post(f"/v1/campaigns/{campaign_id}/publish", headers=key)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (again.status_code, again.json()) == (200, first.json())


async def test_changed_rules_are_a_new_version_and_the_old_one_stays(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign_id = await draft(api)
    assert (await api.patch(f"/v1/campaigns/{campaign_id}", json={"commission": ONE_LEVEL})).json()["rule_version"] == 2
    await act(api, campaign_id, "publish")
    rewards = [{"on": "signup", "to": "invitee", "days": 7}]
    changed = (await api.patch(f"/v1/campaigns/{campaign_id}", json={"rewards": rewards})).json()
    assert changed["rule_version"] == 3
    assert changed["commission"]["levels"][0]["rate_bps"] == 2000
    async with resources.db.tenant(merchant.test_id) as session:
        kept = select(CampaignRule).filter_by(campaign_id=campaign_id).order_by(CampaignRule.version)
        documents = [row.document for row in await session.scalars(kept)]
    rates = [document["commission"]["levels"][0]["rate_bps"] for document in documents]
    assert (rates, [len(document["rewards"]) for document in documents]) == ([3000, 2000, 2000], [0, 0, 1])


async def test_the_same_rules_again_are_no_new_version(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign_id = await draft(api)
    before = (await api.get(f"/v1/campaigns/{campaign_id}")).json()
    assert (await api.patch(f"/v1/campaigns/{campaign_id}", json=CASE_BOOK)).json() == before
    async with resources.db.tenant(merchant.test_id) as session:
        assert len((await session.scalars(select(AuditEntry).filter_by(subject_id=campaign_id))).all()) == 1


@pytest.mark.parametrize("role", ["tenant", "system"])
async def test_no_role_of_the_runtime_can_rewrite_a_version(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, role: str
) -> None:
    await draft(api)
    opened = resources.db.tenant(merchant.test_id) if role == "tenant" else resources.db.system()
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with opened as session:
            await session.execute(text("UPDATE campaign_rules SET document = '{}'"))


async def test_what_is_left_out_stays_and_null_clears(api: httpx.AsyncClient) -> None:
    campaign_id = await draft(api, ends_at=at(days=9), budget_minor=100, rules_text="规则")
    changed = await api.patch(f"/v1/campaigns/{campaign_id}", json={"ends_at": None, "name": "新名"})
    assert changed.json() == IsPartialDict(name="新名", ends_at=None, budget_minor=100, rules_text="规则")


async def test_price_and_kind_stay_once_published_and_the_answer_names_them(api: httpx.AsyncClient) -> None:
    campaign_id = await draft(api)
    await act(api, campaign_id, "publish")
    body = {"kind": "refer_a_friend", "product": {"name": "新案例集", "price_minor": 6900, "stock": 5}}
    answer = await api.patch(f"/v1/campaigns/{campaign_id}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "campaign_locked")
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/kind", "/product/price_minor"]
    body["product"]["price_minor"], body["kind"] = 5900, "distribution"  # type: ignore[index]  # a dict of two kinds
    assert (await api.patch(f"/v1/campaigns/{campaign_id}", json=body)).json()["product"]["stock"] == 5


async def test_a_change_that_the_check_forbids_never_reaches_a_published_campaign(api: httpx.AsyncClient) -> None:
    campaign_id = await draft(api)
    await act(api, campaign_id, "publish")
    answer = await api.patch(f"/v1/campaigns/{campaign_id}", json={"rules_text": "购买后成为推广员"})
    assert (answer.status_code, answer.json()["code"]) == (422, "campaign_check_failed")
    assert (await api.get(f"/v1/campaigns/{campaign_id}")).json()["rules_text"] is None


async def test_after_the_end_only_metadata_changes(api: httpx.AsyncClient) -> None:
    campaign_id = await draft(api)
    await act(api, campaign_id, "publish")
    await act(api, campaign_id, "end")
    assert (await api.patch(f"/v1/campaigns/{campaign_id}", json={"metadata": {"seen": True}})).status_code == 200
    answer = await api.patch(f"/v1/campaigns/{campaign_id}", json={"ends_at": at(days=9)})
    assert (answer.status_code, answer.json()["code"]) == (409, "campaign_locked")


async def test_a_scheduled_campaign_without_a_start_begins(api: httpx.AsyncClient) -> None:
    campaign_id = await draft(api, starts_at=at(days=9))
    await act(api, campaign_id, "publish")
    assert (await api.patch(f"/v1/campaigns/{campaign_id}", json={"starts_at": None})).json()["status"] == "active"
