from __future__ import annotations

from typing import Any

from sqlalchemy import Index, LargeBinary, SmallInteger, String, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, TenantRow
from app.db.types import Id, Instant, Sealed
from app.models.merchants import merchant_fk


def _unique(column: str) -> Index:
    where = text(f"{column} IS NOT NULL")
    return Index(f"uq_members_{column}", "merchant_id", column, unique=True, postgresql_where=where)


class Member(TenantRow, Base):
    """A person known to a merchant by phone, WeChat id or the merchant's own `external_id`."""

    __tablename__ = "members"
    __table_args__ = tuple(map(_unique, ("external_id", "phone_index", "openid_index", "unionid_index")))

    id: Mapped[str] = mapped_column(Id("mbr"), primary_key=True)
    external_id: Mapped[str | None] = mapped_column(String(128))
    phone: Mapped[str | None] = mapped_column(Sealed("member.phone"))
    phone_index: Mapped[bytes | None] = mapped_column(LargeBinary)
    phone_verified_at: Mapped[Instant | None]
    openid: Mapped[str | None] = mapped_column(Sealed("member.openid"))
    openid_index: Mapped[bytes | None] = mapped_column(LargeBinary)
    unionid: Mapped[str | None] = mapped_column(Sealed("member.unionid"))
    unionid_index: Mapped[bytes | None] = mapped_column(LargeBinary)
    nickname: Mapped[str | None] = mapped_column(String(64))
    avatar_url: Mapped[str | None] = mapped_column(Text)
    avatar_asset_id: Mapped[str | None] = mapped_column(Id("ast"))
    meta: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB, server_default="{}")
    created_at: Mapped[Instant] = mapped_column(server_default=func.now())


class AvatarFetch(TenantRow, Base):
    """A member's picture that is to be had from `url`; the row goes when it was fetched. `due_at` is null: given up."""

    __tablename__ = "avatar_fetches"
    __table_args__ = (
        merchant_fk("member_id", to="members.id"),
        Index("ix_avatar_fetches_due_at", "due_at", postgresql_where=text("due_at IS NOT NULL")),
    )

    member_id: Mapped[str] = mapped_column(Id("mbr"), primary_key=True)
    url: Mapped[str] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    due_at: Mapped[Instant | None] = mapped_column(server_default=func.now())
    error: Mapped[str | None] = mapped_column(String(300))
