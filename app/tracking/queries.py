"""Reading rollups, and what a campaign or a participant has brought."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, TextClause, and_, bindparam, exists, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.types import Id
from app.kit import ids
from app.models import CounterRepair, Participant, ParticipantTotals, ParticipantVisitor
from app.tracking.hits import COUNTERS, Target, hour_of, micros
from app.tracking.series import Cell, Span


def target(merchant_id: str, campaign_id: str, participant_id: str) -> Target:
    return Target(ids.decode("mch", merchant_id), ids.decode("cmp", campaign_id), ids.decode("ptc", participant_id))


async def is_repair_owed(session: AsyncSession, *, merchant_id: str, campaign_id: str) -> bool:
    """Whether the campaign's live counters may differ from the rows."""
    asked = exists().where(CounterRepair.merchant_id == merchant_id, CounterRepair.campaign_id == campaign_id)
    return bool(await session.scalar(select(asked)))


async def campaign_counters(session: AsyncSession, *, merchant_id: str, campaign_id: str) -> dict[str, int]:
    """As the live ones, from the rows: behind by what is not drained yet."""
    # The visitors by participant, which their primary key leads with.
    own = select(Participant.id).where(Participant.merchant_id == merchant_id, Participant.campaign_id == campaign_id)
    return await _counters(
        session,
        and_(ParticipantTotals.merchant_id == merchant_id, ParticipantTotals.campaign_id == campaign_id),
        and_(ParticipantVisitor.merchant_id == merchant_id, ParticipantVisitor.participant_id.in_(own)),
    )


async def campaign_cells(
    session: AsyncSession, *, merchant_id: str, campaign_id: str, span: Span, channel: str | None
) -> list[Cell]:
    """Counts by hour and channel; of one channel, or of all."""
    hour = ParticipantTotals.hour
    within = [hour >= span.starts_at, hour < span.ends_at]
    if channel is not None:
        within.append(ParticipantTotals.channel == channel)
    return await _cells(session, _of_campaign(merchant_id, campaign_id, *within), hour)


async def channel_cells(session: AsyncSession, *, merchant_id: str, campaign_id: str) -> list[Cell]:
    """Counts by channel, all of them as if of one hour."""
    return await _cells(session, _of_campaign(merchant_id, campaign_id), None)


def _of_campaign(merchant_id: str, campaign_id: str, *further: ColumnElement[bool]) -> ColumnElement[bool]:
    table = ParticipantTotals
    return and_(table.merchant_id == merchant_id, table.campaign_id == campaign_id, *further)


async def _cells(session: AsyncSession, where: ColumnElement[bool], hour: Any) -> list[Cell]:
    sums = [func.sum(getattr(ParticipantTotals, counter)) for counter in COUNTERS]
    by = [ParticipantTotals.channel] if hour is None else [ParticipantTotals.channel, hour]
    statement = select(func.min(ParticipantTotals.hour), ParticipantTotals.channel, *sums).where(where).group_by(*by)
    return [
        Cell(hour_of(micros(at)), channel, counter, int(number))
        for at, channel, *numbers in await session.execute(statement)
        for counter, number in zip(COUNTERS, numbers, strict=True)
        if number
    ]


async def participant_counters(session: AsyncSession, *, merchant_id: str, participant_id: str) -> dict[str, int]:
    return await _counters(
        session,
        and_(ParticipantTotals.merchant_id == merchant_id, ParticipantTotals.participant_id == participant_id),
        and_(ParticipantVisitor.merchant_id == merchant_id, ParticipantVisitor.participant_id == participant_id),
    )


async def _counters(
    session: AsyncSession, of_totals: ColumnElement[bool], of_visitors: ColumnElement[bool]
) -> dict[str, int]:
    sums = [func.coalesce(func.sum(getattr(ParticipantTotals, name)), 0).label(name) for name in COUNTERS]
    visitors = select(func.count()).select_from(ParticipantVisitor).where(of_visitors).scalar_subquery()
    statement = select(*sums, visitors.label("unique_visitors")).where(of_totals)
    return _numbers((await session.execute(statement)).one()._mapping)


def _figures(sql: str, *ids_: tuple[str, str]) -> TextClause:
    return text(sql).bindparams(*(bindparam(name, type_=Id(prefix)) for name, prefix in ids_))


_OF_CAMPAIGN = _figures(
    """
    SELECT (SELECT count(*) FROM participants WHERE merchant_id = :merchant AND campaign_id = :campaign)
           AS participants,
           (SELECT count(*) FROM referrals WHERE merchant_id = :merchant AND campaign_id = :campaign)
           AS signups,
           bought.*,
           (SELECT coalesce(sum(c.amount_minor), 0) FROM orders o
            JOIN commissions c ON c.merchant_id = o.merchant_id AND c.order_id = o.id
            WHERE o.merchant_id = :merchant AND o.campaign_id = :campaign AND c.status <> 'rejected')
           AS commission_minor
    FROM (SELECT count(*) AS orders, coalesce(sum(amount_minor), 0) AS paid_minor,
                 coalesce(sum(refunded_minor), 0) AS refunded_minor
          FROM orders WHERE merchant_id = :merchant AND campaign_id = :campaign) bought
    """,
    ("merchant", "mch"),
    ("campaign", "cmp"),
)
_OF_PARTICIPANT = _figures(
    """
    SELECT (SELECT count(*) FROM referrals WHERE merchant_id = :merchant AND inviter_id = :participant) AS signups,
           bought.*,
           (SELECT coalesce(sum(amount_minor), 0) FROM commissions
            WHERE merchant_id = :merchant AND beneficiary_id = :participant AND status <> 'rejected')
           AS commission_minor
    FROM (SELECT count(*) AS orders, coalesce(sum(o.amount_minor), 0) AS paid_minor,
                 coalesce(sum(o.refunded_minor), 0) AS refunded_minor
          FROM participants friend
          JOIN orders o ON o.merchant_id = friend.merchant_id AND o.participant_id = friend.id
          WHERE friend.merchant_id = :merchant AND friend.inviter_id = :participant) bought
    """,
    ("merchant", "mch"),
    ("participant", "ptc"),
)


async def campaign_figures(session: AsyncSession, *, merchant_id: str, campaign_id: str) -> dict[str, int]:
    """Everybody in it, those who came by an invite, orders, and commissions less what refunds took back."""
    found = await session.execute(_OF_CAMPAIGN, {"merchant": merchant_id, "campaign": campaign_id})
    return _numbers(found.one()._mapping)


async def participant_figures(session: AsyncSession, *, merchant_id: str, participant_id: str) -> dict[str, int]:
    """Friends who signed up by this participant's invite, their orders, and what this participant earned."""
    found = await session.execute(_OF_PARTICIPANT, {"merchant": merchant_id, "participant": participant_id})
    return _numbers(found.one()._mapping)


def _numbers(row: Mapping[Any, Any]) -> dict[str, int]:
    """Sums of whole numbers come as decimals."""
    return {str(name): int(value) for name, value in row.items()}
