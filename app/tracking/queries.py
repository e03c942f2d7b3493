"""Reading rollups, and what a campaign or a participant has brought."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, TextClause, and_, bindparam, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.types import Id
from app.kit import ids
from app.models import Participant, ParticipantTotals, ParticipantVisitor
from app.tracking.hits import COUNTERS, Target, hour_of, micros
from app.tracking.series import Cell


def target(merchant_id: str, campaign_id: str, participant_id: str) -> Target:
    return Target(ids.decode("mch", merchant_id), ids.decode("cmp", campaign_id), ids.decode("ptc", participant_id))


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
    session: AsyncSession,
    *,
    merchant_id: str,
    campaign_id: str,
    between: tuple[datetime, datetime] | None = None,
    channel: str | None = None,
) -> list[Cell]:
    """Counts by hour and channel; `between` names the first hour, and the one after the last."""
    hour, name = ParticipantTotals.hour, ParticipantTotals.channel
    sums = [func.sum(getattr(ParticipantTotals, counter)) for counter in COUNTERS]
    statement = select(hour, name, *sums).group_by(hour, name)
    statement = statement.where(
        ParticipantTotals.merchant_id == merchant_id, ParticipantTotals.campaign_id == campaign_id
    )
    if between is not None:
        statement = statement.where(hour >= between[0], hour < between[1])
    if channel is not None:
        statement = statement.where(name == channel)
    return [
        Cell(hour_of(micros(at)), of, counter, int(number))
        for at, of, *numbers in await session.execute(statement)
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
