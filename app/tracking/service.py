"""What tracking offers: opening links, taking events, and live figures."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.campaigns import queries as campaigns
from app.referrals import queries as referrals
from app.tracking import live, queries
from app.tracking.hits import COUNTERS
from app.tracking.intake import take as take
from app.tracking.links import open_link as open_link
from app.tracking.tracker import Tracker

LIVE = (*COUNTERS, "unique_visitors")


async def campaign_stats(
    session: AsyncSession, tracker: Tracker, *, merchant_id: str, campaign_id: str
) -> dict[str, Any]:
    """Counters live from Redis, from the rows while it is away or being rebuilt; the rest always from the rows."""
    campaign = await campaigns.get(session, merchant_id=merchant_id, campaign_id=campaign_id)
    counters = await live.read_campaign(tracker.redis, tracker.shards, campaign_id)
    if counters is None:
        counters = await queries.campaign_counters(session, merchant_id=merchant_id, campaign_id=campaign_id)
    figures = await queries.campaign_figures(session, merchant_id=merchant_id, campaign_id=campaign_id)
    return {
        "object": "campaign_stats",
        "campaign_id": campaign_id,
        "currency": campaign.currency,
        **dict.fromkeys(LIVE, 0),
        **counters,
        **figures,
    }


async def participant_stats(
    session: AsyncSession, tracker: Tracker, *, merchant_id: str, participant_id: str
) -> dict[str, Any]:
    """As `campaign_stats` for one participant: own link, friends, and the friends' orders."""
    participant = await referrals.get_participant(session, merchant_id=merchant_id, participant_id=participant_id)
    campaign = await campaigns.get(session, merchant_id=merchant_id, campaign_id=participant.campaign_id)
    counters = await live.read_participant(tracker.redis, tracker.shards, campaign.id, participant_id)
    if counters is None:
        counters = await queries.participant_counters(session, merchant_id=merchant_id, participant_id=participant_id)
    below = await referrals.level_counts(session, merchant_id=merchant_id, participant=participant)
    figures = await queries.participant_figures(session, merchant_id=merchant_id, participant_id=participant_id)
    return {
        "object": "participant_stats",
        "participant_id": participant_id,
        "campaign_id": campaign.id,
        "currency": campaign.currency,
        **dict.fromkeys(LIVE, 0),
        **counters,
        "participants": sum(below.values()),
        **figures,
    }
