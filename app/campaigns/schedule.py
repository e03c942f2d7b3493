"""What the clock does to campaigns: scheduled ones begin, running ones end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, case, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.campaigns import queries
from app.campaigns.views import campaign_view
from app.db import outbox
from app.kit import ids
from app.models import AuditEntry, Campaign, Merchant

AT_ONCE = 500
Now = datetime | ColumnElement[datetime]


async def turn_due(session: AsyncSession, *, merchant_id: str | None = None, now: datetime) -> int:
    """Begin and end what is due, and return how many. One merchant's at its own `now`, or, as *system*, everybody's.

    For everybody `now` is the real one, to which each merchant's `clock_offset_seconds` is added. Clocks only run
    ahead, so what is due by the real one is due; the few tenants whose clock was moved are looked at a second time,
    and an index answers for all others.
    """
    if merchant_id is not None:
        return await _turn(session, _due(now).where(Campaign.merchant_id == merchant_id), now)
    ahead = literal(now) + Merchant.clock_offset_seconds * literal(timedelta(seconds=1))
    moved = _due(ahead).join(Merchant, Merchant.id == Campaign.merchant_id).where(Merchant.clock_offset_seconds != 0)
    return await _turn(session, _due(now), now) + await _turn(session, moved, now)


def _due(now: Now) -> Select[tuple[str, str, str]]:
    status = queries.status_column(now).label("status")
    return select(Campaign.merchant_id, Campaign.id, status).where(Campaign.due_at <= now).order_by(Campaign.due_at)


async def _turn(session: AsyncSession, due: Select[tuple[str, str, str]], now: datetime) -> int:
    # SKIP LOCKED: somebody is changing that one by hand; what they leave due is found in the next round.
    picked = due.limit(AT_ONCE).with_for_update(of=Campaign, key_share=True, skip_locked=True).cte("due")
    ended_at = case((picked.c.status == "ended", Campaign.ends_at), else_=Campaign.ended_at)
    turned = (
        update(Campaign)
        .where(Campaign.merchant_id == picked.c.merchant_id, Campaign.id == picked.c.id)
        .values(status=picked.c.status, ended_at=ended_at)
        .returning(Campaign)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    campaigns = (await session.scalars(turned)).all()
    await _audit(session, campaigns)
    await _announce_ends(session, [campaign for campaign in campaigns if campaign.status == "ended"], now)
    return len(campaigns)


async def _audit(session: AsyncSession, campaigns: Sequence[Campaign]) -> None:
    entries = [
        {
            "merchant_id": campaign.merchant_id,
            "id": ids.new("aud"),
            "actor": "schedule",
            "action": "campaign.end" if campaign.status == "ended" else "campaign.begin",
            "subject_id": campaign.id,
            "at": campaign.ended_at or campaign.starts_at,
        }
        for campaign in campaigns
    ]
    if entries:
        await session.execute(insert(AuditEntry), entries)


async def _announce_ends(session: AsyncSession, campaigns: Sequence[Campaign], now: datetime) -> None:
    rules = await queries.current_rules(session, merchant_id=None, campaigns=campaigns)
    for campaign in campaigns:
        view = campaign_view(campaign, rules[campaign.id], now=now)
        await outbox.emit(session, campaign.merchant_id, "campaign.ended", view, at=campaign.ended_at or now)
