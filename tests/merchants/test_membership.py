"""When a merchant's days end, its campaigns run on, and new ones wait."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select, update

from app.kit import clock
from app.kit.errors import PaymentRequired
from app.merchants import accounts
from app.models import Membership, Merchant
from app.resources import Resources
from tests.factories import MerchantFixture, make_campaign
from tests.factories.merchants import MEMBER_DAYS

CAMPAIGN = {
    "name": "邀请好友，双方各得 30 天",
    "kind": "refer_a_friend",
    "landing": {"organiser": "清茶书社"},
    "rules_text": "活动长期有效。",
}


async def end_days(resources: Resources, merchant: MerchantFixture) -> None:
    async with resources.db.system() as session:
        mine = select(Merchant.house_member_id).where(Merchant.id == merchant.live_id).scalar_subquery()
        past = clock.utcnow() - timedelta(seconds=1)
        await session.execute(update(Membership).where(Membership.member_id == mine).values(ends_at=past))


async def publish(api: httpx.AsyncClient) -> httpx.Response:
    draft = await api.post("/v1/campaigns", json=CAMPAIGN)
    assert draft.status_code == 201, draft.text
    return await api.post(f"/v1/campaigns/{draft.json()['id']}/publish")


@pytest.mark.parametrize("live", [True, False])
async def test_publishing_wants_days_in_both_modes(
    app: FastAPI, merchant: MerchantFixture, resources: Resources, live: bool
) -> None:
    async with merchant.client(app, live=live) as client:
        assert (await publish(client)).status_code == 200
        await end_days(resources, merchant)
        refused = await publish(client)
        assert (refused.status_code, refused.json()["code"]) == (402, "membership_ended")
        shown = (await client.get("/v1/merchant")).json()
    assert shown["membership"]["active"] is False
    assert shown["membership"]["ends_at"] is not None


async def test_what_is_published_runs_on(
    api: httpx.AsyncClient, merchant: MerchantFixture, resources: Resources
) -> None:
    async with resources.db.tenant(merchant.test_id) as session:
        campaign = await make_campaign(session, merchant.test_id)
    await end_days(resources, merchant)
    joined = await api.post(f"/v1/campaigns/{campaign.id}/participants", json={"member": {"external_id": "u1"}})
    assert joined.status_code == 201, joined.text
    for action in ("pause", "resume", "end"):
        assert (await api.post(f"/v1/campaigns/{campaign.id}/{action}")).status_code == 200


async def test_a_test_clock_that_runs_ahead_uses_days_up_in_test_alone(
    api: httpx.AsyncClient, live_api: httpx.AsyncClient
) -> None:
    await api.post("/v1/test-clock", json={"advance_seconds": (MEMBER_DAYS - 1) * 86_400})
    assert (await publish(api)).status_code == 200
    await api.post("/v1/test-clock", json={"advance_seconds": 86_400})
    refused = await publish(api)
    assert (refused.status_code, refused.json()["code"]) == (402, "membership_ended")
    assert refused.headers["content-type"] == "application/problem+json"
    assert (await publish(live_api)).status_code == 200


async def test_what_was_scheduled_begins_after_the_days_ended(api: httpx.AsyncClient) -> None:
    soon = (clock.utcnow() + timedelta(days=MEMBER_DAYS + 5)).isoformat()
    draft = (await api.post("/v1/campaigns", json=CAMPAIGN | {"starts_at": soon})).json()
    published = (await api.post(f"/v1/campaigns/{draft['id']}/publish")).json()
    assert published["status"] == "scheduled"
    await api.post("/v1/test-clock", json={"advance_seconds": (MEMBER_DAYS + 6) * 86_400})
    assert (await api.get(f"/v1/campaigns/{draft['id']}")).json()["status"] == "active"
    clone = (await api.post(f"/v1/campaigns/{draft['id']}/clone")).json()
    assert (await api.post(f"/v1/campaigns/{clone['id']}/publish")).json()["code"] == "membership_ended"


async def test_the_house_itself_needs_no_days(resources: Resources, merchant: MerchantFixture) -> None:
    async with resources.db.system() as session:
        for house_id in (await session.scalars(select(Merchant.id).where(Merchant.is_house))).all():
            await accounts.require_membership(session, merchant_id=house_id, now=clock.utcnow())
        await end_days(resources, merchant)
        with pytest.raises(PaymentRequired):
            await accounts.require_membership(session, merchant_id=merchant.live_id, now=clock.utcnow())
