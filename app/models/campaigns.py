from __future__ import annotations

from typing import Any

from sqlalchemy import (
    CHAR,
    BigInteger,
    CheckConstraint,
    Computed,
    Index,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, TenantRow
from app.db.types import Id, Instant
from app.models.merchants import merchant_fk

KINDS = ("distribution", "refer_a_friend", "milestone", "leaderboard", "deposit")
STATUSES = ("draft", "scheduled", "active", "paused", "ended", "settled")
# When the clock changes a campaign next, so that an index answers the worker. Casts and all as PostgreSQL prints it:
# `alembic check` compares the two.
DUE_AT = (
    "CASE WHEN status::text = 'scheduled'::text THEN LEAST(starts_at, ends_at)"
    " WHEN status::text = 'active'::text OR status::text = 'paused'::text THEN ends_at"
    " ELSE NULL::timestamp with time zone END"
)


class Campaign(TenantRow, Base):
    """One offer. What money and days hang on is in its current `CampaignRule`, so that it can be versioned.

    `stock`: pieces left to sell; below zero where more was sold elsewhere, and reported, than there was.
    """

    __tablename__ = "campaigns"
    __table_args__ = (
        CheckConstraint(f"kind IN {KINDS}", name="kind"),
        CheckConstraint(f"status IN {STATUSES}", name="status"),
        CheckConstraint("ends_at IS NULL OR starts_at IS NULL OR ends_at > starts_at", name="dates"),
        CheckConstraint("product_kind IN ('goods', 'service')", name="product_kind"),
        CheckConstraint("price_minor IS NULL OR price_minor >= 0", name="price"),
        CheckConstraint("commission_minor >= 0", name="commission"),
        Index("ix_campaigns_due_at", "due_at"),
        Index("ix_campaigns_merchant_id_due_at", "merchant_id", "due_at"),
        Index("uq_campaigns_id", "id", unique=True),  # pages come with the id alone
    )

    id: Mapped[str] = mapped_column(Id("cmp"), primary_key=True)
    name: Mapped[str] = mapped_column(String(120))
    kind: Mapped[str] = mapped_column(String(24))
    status: Mapped[str] = mapped_column(String(16), server_default="draft")
    starts_at: Mapped[Instant | None]
    ends_at: Mapped[Instant | None]
    product_name: Mapped[str | None] = mapped_column(String(120))
    product_kind: Mapped[str] = mapped_column(String(8), server_default="goods")
    price_minor: Mapped[int | None] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(CHAR(3), server_default="CNY")
    stock: Mapped[int | None]
    rule_version: Mapped[int] = mapped_column(server_default="1")
    budget_minor: Mapped[int | None] = mapped_column(BigInteger)
    commission_minor: Mapped[int] = mapped_column(BigInteger, server_default="0")
    landing: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    rules_text: Mapped[str | None] = mapped_column(Text)
    poster_template_ids: Mapped[list[str]] = mapped_column(JSONB, server_default="[]")
    poster_template_versions: Mapped[dict[str, int]] = mapped_column(JSONB, server_default="{}")
    poster_avatars: Mapped[bool] = mapped_column(server_default=text("false"))
    cloned_from_id: Mapped[str | None] = mapped_column(Id("cmp"))
    due_at: Mapped[Instant | None] = mapped_column(Computed(DUE_AT, persisted=True), deferred=True)
    published_at: Mapped[Instant | None]
    ended_at: Mapped[Instant | None]
    meta: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB, server_default="{}")
    created_at: Mapped[Instant] = mapped_column(server_default=func.now())


class CampaignRule(TenantRow, Base):
    """One version of a campaign's rules, never changed: commission, rewards, attribution (see campaigns.rules)."""

    __tablename__ = "campaign_rules"
    __table_args__ = (merchant_fk("campaign_id", to="campaigns.id"),)

    campaign_id: Mapped[str] = mapped_column(Id("cmp"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    document: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[Instant] = mapped_column(server_default=func.now())


class CampaignChannel(TenantRow, Base):
    """A name under which events of a campaign are counted; `number` bounds how many there can be."""

    __tablename__ = "campaign_channels"
    __table_args__ = (
        merchant_fk("campaign_id", to="campaigns.id"),
        CheckConstraint("number BETWEEN 1 AND 200", name="number"),
        UniqueConstraint("merchant_id", "campaign_id", "number"),
    )

    campaign_id: Mapped[str] = mapped_column(Id("cmp"), primary_key=True)
    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    number: Mapped[int] = mapped_column(SmallInteger)
