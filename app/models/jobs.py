from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, String, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, TenantRow
from app.db.types import Id, Instant
from app.models.merchants import merchant_fk

_OPEN = text("status IN ('queued', 'running')")
_DONE = text("status = 'done'")


class Job(TenantRow, Base):
    """Work that takes longer than a request. `expired`: done, and what came of it is not kept any more."""

    __tablename__ = "jobs"
    __table_args__ = (
        merchant_fk("campaign_id", to="campaigns.id"),
        CheckConstraint("status IN ('queued', 'running', 'done', 'expired')", name="status"),
        CheckConstraint("kind IN ('posters')", name="kind"),
        CheckConstraint("done >= 0 AND failed >= 0 AND done + failed <= total", name="progress"),
        Index("ix_jobs_open", "created_at", postgresql_where=_OPEN),
        Index("ix_jobs_finished_at", "finished_at", postgresql_where=_DONE),
    )

    id: Mapped[str] = mapped_column(Id("job"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(24))
    status: Mapped[str] = mapped_column(String(12), server_default="queued")
    campaign_id: Mapped[str] = mapped_column(Id("cmp"))
    input: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    total: Mapped[int]
    done: Mapped[int] = mapped_column(server_default="0")
    failed: Mapped[int] = mapped_column(server_default="0")
    size_bytes: Mapped[int] = mapped_column(BigInteger, server_default="0")
    leased_until: Mapped[Instant | None]
    finished_at: Mapped[Instant | None]
    meta: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB, server_default="{}")
    created_at: Mapped[Instant] = mapped_column(server_default=func.now())


class JobPoster(TenantRow, Base):
    """A poster of a job: with `content` it is drawn, with `error` it failed, with neither it is still to be drawn."""

    __tablename__ = "job_posters"
    __table_args__ = (
        merchant_fk("job_id", to="jobs.id"),
        merchant_fk("participant_id", to="participants.id"),
    )

    job_id: Mapped[str] = mapped_column(Id("job"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    participant_id: Mapped[str] = mapped_column(Id("ptc"))
    name: Mapped[str | None] = mapped_column(String(40))
    content: Mapped[bytes | None] = mapped_column(LargeBinary)
    error: Mapped[str | None] = mapped_column(String(80))
