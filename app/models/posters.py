from __future__ import annotations

from typing import Any

from sqlalchemy import Index, LargeBinary, String, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, TenantRow
from app.db.types import Id, Instant
from app.models.merchants import merchant_fk


class PosterTemplate(TenantRow, Base):
    """A merchant's poster document as it is now; a changed one is a new version. `warnings`: what its check found."""

    __tablename__ = "poster_templates"

    id: Mapped[str] = mapped_column(Id("tpl"), primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    version: Mapped[int] = mapped_column(server_default="1")
    document: Mapped[dict[str, Any]] = mapped_column(JSONB)
    warnings: Mapped[list[dict[str, str]]] = mapped_column(JSONB, server_default="[]")
    meta: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB, server_default="{}")
    created_at: Mapped[Instant] = mapped_column(server_default=func.now())


class PosterTemplateVersion(TenantRow, Base):
    """What a template was; never changed, so that what was begun with a version is ended with it."""

    __tablename__ = "poster_template_versions"
    __table_args__ = (merchant_fk("template_id", to="poster_templates.id"),)

    template_id: Mapped[str] = mapped_column(Id("tpl"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    document: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[Instant] = mapped_column(server_default=func.now())


class Asset(TenantRow, Base):
    """An uploaded picture, normalised before it is kept."""

    __tablename__ = "assets"
    __table_args__ = (Index("uq_assets_digest", "merchant_id", "purpose", "digest", unique=True),)

    id: Mapped[str] = mapped_column(Id("ast"), primary_key=True)
    purpose: Mapped[str] = mapped_column(String(16))
    content_type: Mapped[str] = mapped_column(String(32))
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    content: Mapped[bytes] = mapped_column(LargeBinary)
    width: Mapped[int]
    height: Mapped[int]
    created_at: Mapped[Instant] = mapped_column(server_default=func.now())
