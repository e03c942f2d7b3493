from __future__ import annotations

from typing import Any

from pydantic import Field

from app.api.deps import TenantDep
from app.api.router import make_router
from app.api.schemas import Answer
from app.tracking import service

router = make_router("stats")


class StatsOut(Answer):
    currency: str
    clicks: int = Field(description="Links opened by people.")
    scans: int = Field(description="Codes scanned by people.")
    views: int
    shares: int
    unique_visitors: int = Field(description="Visitors by clicks and scans, each once a participant and day (China).")
    bot_hits: int = Field(description="Crawlers, link previews and prefetches; in no other figure.")
    late_hits: int = Field(description="Hits after the campaign's end; in no other figure.")
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
