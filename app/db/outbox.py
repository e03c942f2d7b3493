"""The outbox: what leaves the system is a row of the transaction that caused it, leased later by status."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Index, SmallInteger, String, func, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, TenantRow
from app.db.types import Id, Instant
from app.db.writing import fresh, write_rows
from app.kit import ids


class OutboxEvent(TenantRow, Base):
    """One domain event: `type` is `noun.verb`, `data` the public object as the API shows it."""

    __tablename__ = "outbox_events"
    __table_args__ = (Index("ix_outbox_events_due", "available_at", postgresql_where=text("status = 'pending'")),)

    id: Mapped[str] = mapped_column(Id("evt"), primary_key=True)
    type: Mapped[str] = mapped_column(String(64))
    data: Mapped[dict[str, Any]] = mapped_column(JSONB)
    status: Mapped[str] = mapped_column(String(16), server_default="pending")
    attempts: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    occurred_at: Mapped[Instant]
    available_at: Mapped[Instant] = mapped_column(server_default=func.now())
    done_at: Mapped[Instant | None]


async def emit(session: AsyncSession, merchant_id: str, type_: str, data: dict[str, Any], *, at: datetime) -> str:
    """Owe the world one event; it is there if and only if the transaction commits."""
    (event_id,) = await emit_all(session, merchant_id, [(type_, data)], at=at)
    return event_id


async def emit_all(
    session: AsyncSession, merchant_id: str, events: Sequence[tuple[str, dict[str, Any]]], *, at: datetime
) -> list[str]:
    """Several events, each its type and data, in one statement; the ids in the same order."""
    rows = rows_of(merchant_id, events, at=at)
    await write_rows(session, rows)
    return [row.id for row in rows]


def rows_of(merchant_id: str, events: Sequence[tuple[str, dict[str, Any]]], *, at: datetime) -> list[OutboxEvent]:
    """As `emit_all`, for the caller to write."""
    return [
        fresh(OutboxEvent, merchant_id=merchant_id, id=ids.new("evt"), type=type_, data=data, occurred_at=at)
        for type_, data in events
    ]


async def emit_many(
    session: AsyncSession, merchant_id: str, type_: str, data: Sequence[dict[str, Any]], *, at: datetime
) -> None:
    """As `emit`, for many objects of one type at once."""
    await emit_all(session, merchant_id, [(type_, one) for one in data], at=at)


async def lease(session: AsyncSession, *, limit: int, seconds: int = 60) -> Sequence[OutboxEvent]:
    """Take due events for `seconds`; a worker that dies with them lets them fall due again."""
    due = (
        select(OutboxEvent.merchant_id, OutboxEvent.id)
        .where(OutboxEvent.status == "pending", OutboxEvent.available_at <= func.now())
        .order_by(OutboxEvent.available_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("due")  # read once: as a mere subquery it might be run, and lock, again and again
    )
    taken = (
        update(OutboxEvent)
        .where(OutboxEvent.merchant_id == due.c.merchant_id, OutboxEvent.id == due.c.id)
        .values(available_at=func.now() + timedelta(seconds=seconds), attempts=OutboxEvent.attempts + 1)
        .returning(OutboxEvent)
    )
    found = await session.scalars(taken, execution_options={"synchronize_session": False, "populate_existing": True})
    return found.all()


async def finish(session: AsyncSession, events: Sequence[OutboxEvent]) -> None:
    keys = [(event.merchant_id, event.id) for event in events]
    done = update(OutboxEvent).where(tuple_(OutboxEvent.merchant_id, OutboxEvent.id).in_(keys))
    await session.execute(done.values(status="done", done_at=func.now()))
