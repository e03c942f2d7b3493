"""What the clock does, each tenant's its own, however many workers look."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import httpx
from sqlalchemy import select, update

from app.campaigns import queries, service
from app.campaigns.rules import status_at
from app.db.outbox import OutboxEvent
from app.kit import clock
from app.models import AuditEntry, Campaign, Merchant
from app.models.campaigns import STATUSES
from app.resources import Resources
from app.worker.campaigns import turn_due_campaigns
from tests.factories import MerchantFixture, make_campaign, make_merchant

DAY = timedelta(days=1)


async def planned(resources: Resources, merchant_id: str, *, status: str, **dates: Any) -> str:
    async with resources.db.tenant(merchant_id) as session:
        return (await make_campaign(session, merchant_id, status=status, **dates)).id


async def status_of(resources: Resources, merchant_id: str, campaign_id: str) -> tuple[str, datetime | None]:
    async with resources.db.tenant(merchant_id) as session:
        campaign = await queries.get(session, merchant_id=merchant_id, campaign_id=campaign_id)
        return campaign.status, campaign.ended_at


async def advance(resources: Resources, merchant: MerchantFixture, by: timedelta) -> None:
    async with resources.db.system() as session:
        moved = update(Merchant).where(Merchant.id == merchant.test_id)
        await session.execute(moved.values(clock_offset_seconds=int(by.total_seconds())))


async def test_campaigns_begin_and_end_on_their_dates(resources: Resources, merchant: MerchantFixture) -> None:
    now = clock.utcnow()
    ends_at = now - timedelta(seconds=1)
    begins = await planned(resources, merchant.live_id, status="scheduled", starts_at=now - DAY)
    waits = await planned(resources, merchant.live_id, status="scheduled", starts_at=now + DAY)
    ends = await planned(resources, merchant.live_id, status="paused", starts_at=now - DAY, ends_at=ends_at)
    skips = await planned(resources, merchant.live_id, status="scheduled", starts_at=now - 2 * DAY, ends_at=ends_at)
    draft = await planned(resources, merchant.live_id, status="draft", starts_at=now - DAY, ends_at=ends_at)
    async with resources.db.system() as session:
        assert await service.turn_due(session, now=now) >= 3
    found = [await status_of(resources, merchant.live_id, each) for each in (begins, waits, ends, skips, draft)]
    over = ("ended", ends_at)
    assert found == [("active", None), ("scheduled", None), over, over, ("draft", None)]


async def test_each_tenant_has_its_own_clock(resources: Resources, merchant: MerchantFixture) -> None:
    now = clock.utcnow()
    dates = {"starts_at": now - DAY, "ends_at": now + DAY}
    live = await planned(resources, merchant.live_id, status="active", **dates)
    test = await planned(resources, merchant.test_id, status="active", **dates)
    await advance(resources, merchant, 2 * DAY)
    await turn_due_campaigns(resources)
    assert await status_of(resources, merchant.live_id, live) == ("active", None)
    assert await status_of(resources, merchant.test_id, test) == ("ended", now + DAY)


async def test_one_tenants_campaigns_at_its_own_now(resources: Resources, merchant: MerchantFixture) -> None:
    now, other = clock.utcnow(), await make_merchant(resources)
    mine = await planned(resources, merchant.test_id, status="scheduled", starts_at=now + DAY)
    theirs = await planned(resources, other.test_id, status="scheduled", starts_at=now + DAY)
    async with resources.db.tenant(merchant.test_id) as session:
        assert await service.turn_due(session, merchant_id=merchant.test_id, now=now + 2 * DAY) == 1
        assert await service.turn_due(session, merchant_id=merchant.test_id, now=now + 2 * DAY) == 0
    assert (await status_of(resources, merchant.test_id, mine))[0] == "active"
    assert (await status_of(resources, other.test_id, theirs))[0] == "scheduled"


async def test_an_end_by_the_clock_is_announced_once_and_audited(
    resources: Resources, merchant: MerchantFixture
) -> None:
    ends_at = clock.utcnow() - timedelta(minutes=5)
    ended = await planned(resources, merchant.test_id, status="active", starts_at=ends_at - DAY, ends_at=ends_at)
    for _ in range(3):
        await turn_due_campaigns(resources)
    async with resources.db.tenant(merchant.test_id) as session:
        (event,) = (await session.scalars(select(OutboxEvent).filter_by(type="campaign.ended"))).all()
        (entry,) = (await session.scalars(select(AuditEntry).filter_by(subject_id=ended))).all()
    assert (event.occurred_at, event.data["id"], event.data["status"]) == (ends_at, ended, "ended")
    assert (entry.action, entry.actor, entry.at) == ("campaign.end", "schedule", ends_at)


async def test_reads_do_not_wait_for_the_worker(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    now = clock.utcnow()
    due = await planned(resources, merchant.test_id, status="active", starts_at=now - DAY, ends_at=now)
    assert (await api.get(f"/v1/campaigns/{due}")).json()["status"] == "ended"
    assert [row["id"] for row in (await api.get("/v1/campaigns?status=ended")).json()["data"]] == [due]
    assert (await api.get("/v1/campaigns?status=active")).json()["data"] == []
    assert (await api.post(f"/v1/campaigns/{due}/pause")).json()["code"] == "campaign_ended"


async def test_the_filter_says_what_the_rule_says(resources: Resources, merchant: MerchantFixture) -> None:
    now = clock.utcnow()
    dates = [None, now - DAY, now, now + DAY]
    pairs = [(a, b) for a in dates for b in dates if not (a and b) or a < b]
    async with resources.db.tenant(merchant.test_id) as session:
        for status in STATUSES:
            for starts_at, ends_at in pairs:
                await make_campaign(session, merchant.test_id, status=status, starts_at=starts_at, ends_at=ends_at)
        rows = (await session.execute(select(Campaign, queries.status_column(now)))).all()
    assert len(rows) == len(STATUSES) * len(pairs)
    assert [said for _, said in rows] == [status_at(campaign, now) for campaign, _ in rows]


async def test_a_page_finds_the_merchant_of_a_campaign(resources: Resources, merchant: MerchantFixture) -> None:
    campaign_id = await planned(resources, merchant.live_id, status="active")
    async with resources.db.system() as session:
        assert await queries.merchant_of(session, campaign_id) == merchant.live_id
        assert await queries.merchant_of(session, campaign_id[:-1]) is None
        assert await queries.merchant_of(session, merchant.live_id) is None
