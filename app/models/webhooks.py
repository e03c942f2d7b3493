from __future__ import annotations

from sqlalchemy import Index, SmallInteger, String, Text, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, TenantRow
from app.db.types import Id, Instant, Sealed
from app.models.merchants import merchant_fk


class WebhookEndpoint(TenantRow, Base):
    __tablename__ = "webhook_endpoints"

    id: Mapped[str] = mapped_column(Id("whe"), primary_key=True)
    url: Mapped[str] = mapped_column(Text)
    secret: Mapped[str] = mapped_column(Sealed("webhook_endpoint.secret"))
    types: Mapped[list[str]] = mapped_column(ARRAY(Text))
    disabled_at: Mapped[Instant | None]
    created_at: Mapped[Instant] = mapped_column(server_default=func.now())


class WebhookDelivery(TenantRow, Base):
    """One event to one endpoint, tried until it is taken or given up."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        merchant_fk("endpoint_id", to="webhook_endpoints.id"),
        merchant_fk("event_id", to="outbox_events.id"),
        Index("uq_webhook_deliveries_event", "merchant_id", "endpoint_id", "event_id", unique=True),
        Index("ix_webhook_deliveries_due", "next_attempt_at", postgresql_where=text("status = 'pending'")),
    )

    id: Mapped[str] = mapped_column(Id("dlv"), primary_key=True)
    endpoint_id: Mapped[str] = mapped_column(Id("whe"))
    event_id: Mapped[str] = mapped_column(Id("evt"))
    status: Mapped[str] = mapped_column(String(16), server_default="pending")
    attempts: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    next_attempt_at: Mapped[Instant] = mapped_column(server_default=func.now())
    last_status: Mapped[int | None] = mapped_column(SmallInteger)
    last_error: Mapped[str | None] = mapped_column(Text)
    delivered_at: Mapped[Instant | None]
    created_at: Mapped[Instant] = mapped_column(server_default=func.now())
