"""Two real connections at once: one of them wins, and the other sees it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from app.campaigns import queries, service
from app.db.outbox import OutboxEvent
from app.kit import clock
from app.kit.errors import Conflict
from app.models import CampaignRule, Member, Participant
from app.resources import Resources
from app.worker.campaigns import turn_due_campaigns
from tests.factories import MerchantFixture, make_campaign, make_participant

BODY: dict[str, Any] = {"name": "案例集", "kind": "distribution", "product": {"name": "案例集", "price_minor": 5900}}


async def count_events(resources: Resources, merchant: MerchantFixture, type_: str) -> int:
    async with resources.db.tenant(merchant.test_id) as session:
        events = select(func.count()).select_from(OutboxEvent).where(OutboxEvent.type == type_)
        return await session.scalar(events) or 0


async def is_waiting(resources: Resources, pid: int) -> None:
    """Return once the connection waits for another one's lock."""
    async with asyncio.timeout(5), resources.db.system() as session:
        while not await session.scalar(select(func.cardinality(func.pg_blocking_pids(pid)))):
            pass


async def test_of_two_publishes_one_wins_and_one_event_leaves(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign_id = (await api.post("/v1/campaigns", json=BODY)).json()["id"]
    asked: dict[str, Any] = {"merchant_id": merchant.test_id, "campaign_id": campaign_id, "actor": "test"}
    pids: asyncio.Queue[int] = asyncio.Queue()

    async def publish_second() -> None:
        async with resources.db.tenant(merchant.test_id) as session:
            await pids.put(await session.scalar(select(func.pg_backend_pid())) or 0)
            await service.publish(session, now=clock.utcnow(), **asked)

    async with resources.db.tenant(merchant.test_id) as session:
        await service.publish(session, now=clock.utcnow(), **asked)
        second = asyncio.create_task(publish_second())
        await is_waiting(resources, await pids.get())
    with pytest.raises(Conflict) as refused:
        await second
    assert refused.value.code == "campaign_already_published"
    assert await count_events(resources, merchant, "campaign.published") == 1


async def test_a_burst_of_publishes_is_one(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    path = f"/v1/campaigns/{(await api.post('/v1/campaigns', json=BODY)).json()['id']}/publish"
    answers = await asyncio.gather(*(api.post(path) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
    assert await count_events(resources, merchant, "campaign.published") == 1


async def test_a_lock_shows_the_campaign_as_it_is_now(resources: Resources, merchant: MerchantFixture) -> None:
    async with resources.db.tenant(merchant.test_id) as session:
        campaign_id = (await make_campaign(session, merchant.test_id)).id
    asked = {"merchant_id": merchant.test_id, "campaign_id": campaign_id}
    async with resources.db.tenant(merchant.test_id) as session:
        assert (await queries.get(session, **asked)).status == "active"
        async with resources.db.tenant(merchant.test_id) as other:
            await service.move(other, action="pause", actor="test", now=clock.utcnow(), **asked)
        assert (await queries.lock(session, **asked)).status == "paused"


async def test_of_many_ends_by_hand_and_by_clock_one_event_leaves(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    now = clock.utcnow()
    async with resources.db.tenant(merchant.test_id) as session:
        campaign = await make_campaign(session, merchant.test_id, ends_at=now + timedelta(milliseconds=20))
    path = f"/v1/campaigns/{campaign.id}/end"
    work: list[Any] = [api.post(path) for _ in range(4)] + [turn_due_campaigns(resources) for _ in range(4)]
    await asyncio.gather(*work)
    await turn_due_campaigns(resources)
    assert (await api.get(f"/v1/campaigns/{campaign.id}")).json()["status"] == "ended"
    assert await count_events(resources, merchant, "campaign.ended") == 1


async def test_changes_at_once_become_versions_one_after_the_other(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    path = f"/v1/campaigns/{(await api.post('/v1/campaigns', json=BODY)).json()['id']}"
    changes = [{"commission": {"levels": [{"level": 1, "rate_bps": 100 * n}]}} for n in range(1, 6)]
    answers = await asyncio.gather(*(api.patch(path, json=change) for change in changes))
    assert sorted(answer.json()["rule_version"] for answer in answers) == [2, 3, 4, 5, 6]
    async with resources.db.tenant(merchant.test_id) as session:
        versions = await session.scalars(select(CampaignRule.version).where(CampaignRule.campaign_id == path[-30:]))
        assert sorted(versions) == [1, 2, 3, 4, 5, 6]


async def test_a_signup_does_not_wait_for_one_who_changes_the_campaign(
    resources: Resources, merchant: MerchantFixture
) -> None:
    async with resources.db.tenant(merchant.test_id) as session:
        campaign = await make_campaign(session, merchant.test_id)
    async with resources.db.tenant(merchant.test_id) as changing:
        await queries.lock(changing, merchant_id=merchant.test_id, campaign_id=campaign.id)
        async with asyncio.timeout(5), resources.db.tenant(merchant.test_id) as joining:
            await make_participant(joining, campaign)
    async with resources.db.tenant(merchant.test_id) as session:
        assert await session.scalar(select(func.count()).select_from(Participant)) == 1
        assert await session.scalar(select(func.count()).select_from(Member)) == 1


async def test_the_worker_passes_over_a_campaign_that_is_being_changed(
    resources: Resources, merchant: MerchantFixture
) -> None:
    now = clock.utcnow()
    async with resources.db.tenant(merchant.test_id) as session:
        campaign = await make_campaign(session, merchant.test_id, starts_at=now - timedelta(days=1), ends_at=now)
    async with resources.db.tenant(merchant.test_id) as changing:
        await queries.lock(changing, merchant_id=merchant.test_id, campaign_id=campaign.id)
        async with asyncio.timeout(5), resources.db.tenant(merchant.test_id) as looking:
            assert await service.turn_due(looking, merchant_id=merchant.test_id, now=now) == 0
    async with resources.db.tenant(merchant.test_id) as session:
        assert await service.turn_due(session, merchant_id=merchant.test_id, now=now) == 1
