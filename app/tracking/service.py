"""What tracking offers beside its two hot paths: live figures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.campaigns import budget
from app.campaigns import queries as campaigns
from app.kit import clock
from app.referrals import queries as referrals
from app.tracking import hours, queries, rules, series
from app.tracking.figures import Live
from app.tracking.hits import COUNTERS
from app.tracking.lookup import MOST_CHANNELS
from app.tracking.series import Span
from app.tracking.series import span_of as span_of
from app.tracking.tracker import Tracker

LIVE = (*COUNTERS, "unique_visitors")
# With `direct` and `other`.
MOST_SHOWN = MOST_CHANNELS + 2


async def campaign_stats(
    session: AsyncSession, tracker: Tracker, *, merchant_id: str, campaign_id: str
) -> dict[str, Any]:
    """Counters live from Redis, from the rows while it is away or being rebuilt; the rest always from the rows."""
    campaign = await campaigns.get(session, merchant_id=merchant_id, campaign_id=campaign_id)
    live = await _live(session, tracker, merchant_id=merchant_id, campaign_id=campaign_id)
    counters = None if live is None else live.counters
    if counters is None:
        counters = await queries.campaign_counters(session, merchant_id=merchant_id, campaign_id=campaign_id)
    cells = None if live is None else live.cells
    if cells is None:
        cells = await queries.channel_cells(session, merchant_id=merchant_id, campaign_id=campaign_id)
        # Of one source, so that the channels of an answer add up to its totals.
        counters = counters | series.totals(cells)
    return {
        "object": "campaign_stats",
        "campaign_id": campaign_id,
        "currency": campaign.currency,
        "budget_minor": campaign.budget_minor,
        "budget_left_minor": budget.left(campaign),
        **dict.fromkeys(LIVE, 0),
        **counters,
        "channels": series.by_channel(cells)[:MOST_SHOWN],
        **await queries.campaign_figures(session, merchant_id=merchant_id, campaign_id=campaign_id),
    }


async def timeseries(
    session: AsyncSession, tracker: Tracker, *, merchant_id: str, campaign_id: str, span: Span, channel: str | None
) -> dict[str, Any]:
    """A campaign's counters by hour or day, from where `campaign_stats` has them."""
    await campaigns.get(session, merchant_id=merchant_id, campaign_id=campaign_id)
    name = None if channel is None else rules.channel_of(channel)
    live = await _live(session, tracker, merchant_id=merchant_id, campaign_id=campaign_id)
    cells = [] if live is None or live.cells is None else live.cells
    shown = span.after if live is None or live.cells is None else hours.shown_from(clock.utcnow())
    if span.first < shown:
        before = replace(span, after=min(span.after, shown))
        older = await queries.campaign_cells(
            session, merchant_id=merchant_id, campaign_id=campaign_id, span=before, channel=name
        )
        cells = older + [cell for cell in cells if cell.hour >= shown]
    return {
        "object": "timeseries",
        "campaign_id": campaign_id,
        "interval": span.interval,
        "from": span.starts_at,
        "to": span.ends_at,
        "channel": name,
        "data": series.points(span, cells, name),
    }


async def participant_stats(
    session: AsyncSession, tracker: Tracker, *, merchant_id: str, participant_id: str
) -> dict[str, Any]:
    """As `campaign_stats` for one participant: own link, friends, and the friends' orders."""
    participant = await referrals.get_participant(session, merchant_id=merchant_id, participant_id=participant_id)
    campaign = await campaigns.get(session, merchant_id=merchant_id, campaign_id=participant.campaign_id)
    is_owed = await queries.is_repair_owed(session, merchant_id=merchant_id, campaign_id=campaign.id)
    counters = await tracker.figures.of_participant(campaign.id, participant_id)
    if counters is None or is_owed:
        stored = await queries.participant_counters(session, merchant_id=merchant_id, participant_id=participant_id)
        counters = stored if counters is None else _fuller(counters, stored)
    below = await referrals.level_counts(session, merchant_id=merchant_id, participant=participant)
    return {
        "object": "participant_stats",
        "participant_id": participant_id,
        "campaign_id": campaign.id,
        "currency": campaign.currency,
        **dict.fromkeys(LIVE, 0),
        **counters,
        "participants": sum(below.values()),
        **await queries.participant_figures(session, merchant_id=merchant_id, participant_id=participant_id),
    }


async def _live(session: AsyncSession, tracker: Tracker, *, merchant_id: str, campaign_id: str) -> Live | None:
    """None also where the rows have more: what came past Redis is in none of its figures before they are repaired."""
    # First: of a repair that ends between the two, the other order would show neither the rows nor what it did.
    is_owed = await queries.is_repair_owed(session, merchant_id=merchant_id, campaign_id=campaign_id)
    live = await tracker.figures.of_campaign(campaign_id)
    if live is None or not is_owed:
        return live
    stored = await queries.campaign_counters(session, merchant_id=merchant_id, campaign_id=campaign_id)
    return live if _fuller(live.counters, stored) is live.counters else None


def _fuller(live: dict[str, int], stored: dict[str, int]) -> dict[str, int]:
    """Each may lack what the other has: rows what waits in the stream, Redis what did not go through it."""
    events, rows = (sum(counters.get(name, 0) for name in COUNTERS) for counters in (live, stored))
    return stored if rows > events else live
