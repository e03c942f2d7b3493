from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import Field

from app.api.deps import TenantDep
from app.api.router import make_router
from app.api.schemas import Answer, Instant
from app.tracking import service

router = make_router("stats")


class CountersOut(Answer):
    clicks: int = Field(description="Links opened by people.")
    scans: int = Field(description="Codes scanned by people.")
    views: int
    shares: int
    bot_hits: int = Field(description="Crawlers, link previews and prefetches; in no other figure.")
    late_hits: int = Field(description="Hits after the campaign's end; in no other figure.")


class ChannelOut(CountersOut):
    channel: str = Field(description="`direct` where none was named; `other` beyond a campaign's first 200 names.")


class StatsOut(CountersOut):
    currency: str
    unique_visitors: int = Field(description="Visitors by clicks and scans, each once a participant and day (China).")
    orders: int
    paid_minor: int = Field(description="Goods paid, before refunds.")
    refunded_minor: int
    commission_minor: int = Field(description="Commission earned, less what refunds took back.")
    livemode: bool


class CampaignStatsOut(StatsOut):
    object: str = "campaign_stats"
    campaign_id: str
    participants: int = Field(description="Everybody in the campaign, those without an inviter included.")
    signups: int = Field(description="Participants who came by somebody's invite.")
    budget_minor: int | None = Field(description="What commissions may cost in all; null: whatever they cost.")
    budget_left_minor: int | None
    channels: list[ChannelOut] = Field(description="Those with the most clicks and scans first.")


class PointOut(CountersOut):
    at: datetime = Field(description="When the hour or day begins.")
    day: date | None = Field(description="The day in China; null for hours.")


class TimeseriesOut(Answer):
    object: str = "timeseries"
    campaign_id: str
    interval: Literal["hour", "day"]
    from_: datetime = Field(alias="from")
    to: datetime = Field(description="Where the last interval ends.")
    channel: str | None = Field(description="As it is counted; null for all together.")
    data: list[PointOut] = Field(description="Every hour or day in turn, also those without events.")
    livemode: bool


class ParticipantStatsOut(StatsOut):
    """Counters of the own link, orders of friends who came by it, commission earned at every level."""

    object: str = "participant_stats"
    participant_id: str
    campaign_id: str
    participants: int = Field(description="Everybody below in the tree, at any depth.")
    signups: int = Field(description="Friends who came by this participant's own invite.")


@router.get("/campaigns/{campaign_id}/stats", response_model=CampaignStatsOut)
async def campaign_stats(campaign_id: str, tenant: TenantDep) -> dict[str, Any]:
    """Live figures of a campaign."""
    found = await service.campaign_stats(
        tenant.session, tenant.resources.tracker, merchant_id=tenant.merchant_id, campaign_id=campaign_id
    )
    return tenant.show(found)


@router.get("/participants/{participant_id}/stats", response_model=ParticipantStatsOut)
async def participant_stats(participant_id: str, tenant: TenantDep) -> dict[str, Any]:
    """Live figures of one participant."""
    found = await service.participant_stats(
        tenant.session, tenant.resources.tracker, merchant_id=tenant.merchant_id, participant_id=participant_id
    )
    return tenant.show(found)


@router.get("/campaigns/{campaign_id}/timeseries", response_model=TimeseriesOut)
async def timeseries(
    campaign_id: str,
    tenant: TenantDep,
    interval: Literal["hour", "day"] = "hour",
    starts_at: Annotated[Instant | None, Query(alias="from", description="By default a day, or 30 by the day.")] = None,
    ends_at: Annotated[Instant | None, Query(alias="to", description="By default now.")] = None,
    channel: Annotated[str | None, Query(max_length=256)] = None,
) -> dict[str, Any]:
    """A campaign's live counters by the hour, at most 31 days of them, or by days in China, at most 400."""
    found = await service.timeseries(
        tenant.session,
        tenant.resources.tracker,
        merchant_id=tenant.merchant_id,
        campaign_id=campaign_id,
        span=service.span_of(interval, starts_at, ends_at, tenant.now),
        channel=channel,
    )
    return tenant.show(found)
