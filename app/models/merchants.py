from __future__ import annotations

from typing import Any

from sqlalchemy import (
    CHAR,
    BigInteger,
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    SmallInteger,
    String,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, TenantRow
from app.db.types import Id, Instant, Sealed


class Plan(Base):
    """What a merchant pays for; the core works on every plan. Without a price it is not for sale."""

    __tablename__ = "plans"
    __table_args__ = (
        CheckConstraint("platform_fee_bps BETWEEN 0 AND 10000", name="platform_fee"),
        CheckConstraint("price_minor >= 0 AND days >= 0 AND (price_minor > 0) = (days > 0)", name="price"),
    )

    key: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    platform_fee_bps: Mapped[int]
    price_minor: Mapped[int]
    days: Mapped[int]
    created_at: Mapped[Instant] = mapped_column(server_default=func.now())


class Merchant(Base):
    """A tenant. Every registration makes two rows: the live one and its test twin, with a clock of its own.

    `house_member_id` and `house_participant_id` are who this merchant is on the house merchant of the same mode.
    `plan` is the one without paid time. `funding`: promoters are paid out of accounts of the merchant's own, or out of
    what it has paid in before.
    """

    __tablename__ = "merchants"
    __table_args__ = (
        CheckConstraint("livemode = (clock_offset_seconds = 0) OR NOT livemode", name="live_clock_is_real"),
        CheckConstraint("funding IN ('own', 'prepaid')", name="funding"),
        Index(
            "uq_merchants_phone_index",
            "phone_index",
            unique=True,
            postgresql_where=text("livemode AND phone_index IS NOT NULL"),
        ),
        Index(
            "uq_merchants_email_index",
            "email_index",
            unique=True,
            postgresql_where=text("livemode AND email_index IS NOT NULL"),
        ),
        Index("uq_merchants_house", "livemode", unique=True, postgresql_where=text("is_house")),
    )

    id: Mapped[str] = mapped_column(Id("mch"), primary_key=True)
    livemode: Mapped[bool]
    twin_id: Mapped[str | None] = mapped_column(Id("mch"))
    is_house: Mapped[bool] = mapped_column(server_default=text("false"))
    name: Mapped[str] = mapped_column(String(120))
    phone: Mapped[str | None] = mapped_column(Sealed("merchant.phone"))
    phone_index: Mapped[bytes | None] = mapped_column(LargeBinary)
    email: Mapped[str | None] = mapped_column(Sealed("merchant.email"))
    email_index: Mapped[bytes | None] = mapped_column(LargeBinary)
    plan: Mapped[str] = mapped_column(String(32), server_default="free")
    funding: Mapped[str] = mapped_column(String(8), server_default="own")
    verified_at: Mapped[Instant | None]
    clock_offset_seconds: Mapped[int] = mapped_column(server_default="0")
    house_member_id: Mapped[str | None] = mapped_column(Id("mbr"))
    house_participant_id: Mapped[str | None] = mapped_column(Id("ptc"))
    invite_code: Mapped[str | None] = mapped_column(String(8))
    meta: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB, server_default="{}")
    created_at: Mapped[Instant] = mapped_column(server_default=func.now())


class PlanPurchase(TenantRow, Base):
    """Paid time of a plan, with its terms as they were when it was bought; `id` is the checkout's.

    Append-only, but for `ended_at`: since when its sale is refunded.

    What the live merchant bought is there for its test twin as well.
    """

    __tablename__ = "plan_purchases"
    __table_args__ = (CheckConstraint("days > 0 AND amount_minor > 0", name="terms"),)

    id: Mapped[str] = mapped_column(Id("ord"), primary_key=True)
    plan: Mapped[str] = mapped_column(String(32))
    platform_fee_bps: Mapped[int]
    days: Mapped[int]
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(CHAR(3))
    bought_at: Mapped[Instant]
    ended_at: Mapped[Instant | None]


class MerchantUser(TenantRow, Base):
    """A person of the merchant; who acts on the command line and who may approve."""

    __tablename__ = "merchant_users"
    __table_args__ = (CheckConstraint("role IN ('owner', 'operator', 'finance', 'viewer')", name="role"),)

    id: Mapped[str] = mapped_column(Id("usr"), primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    role: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[Instant] = mapped_column(server_default=func.now())


class ApiKey(TenantRow, Base):
    __tablename__ = "api_keys"
    __table_args__ = (Index("uq_api_keys_hash", "hash", unique=True),)

    id: Mapped[str] = mapped_column(Id("key"), primary_key=True)
    name: Mapped[str] = mapped_column(String(80), server_default="default")
    hash: Mapped[bytes] = mapped_column(LargeBinary)
    last4: Mapped[str] = mapped_column(String(4))
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{*}")
    expires_at: Mapped[Instant | None]
    revoked_at: Mapped[Instant | None]
    created_at: Mapped[Instant] = mapped_column(server_default=func.now())


class PhoneCode(TenantRow, Base):
    """A code sent to a phone or an e-mail address: short-lived, few attempts, used once."""

    __tablename__ = "phone_codes"

    subject_index: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    purpose: Mapped[str] = mapped_column(String(32), primary_key=True)
    code_hash: Mapped[bytes] = mapped_column(LargeBinary)
    attempts: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    sends: Mapped[int] = mapped_column(SmallInteger, server_default="1")
    sent_at: Mapped[Instant]
    expires_at: Mapped[Instant]
    used_at: Mapped[Instant | None]


class IdempotencyKey(TenantRow, Base):
    """The first answer to a POST, stored in the transaction that made it true."""

    __tablename__ = "idempotency_keys"

    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request_hash: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[int] = mapped_column(SmallInteger)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[Instant] = mapped_column(server_default=func.now())


class AuditEntry(TenantRow, Base):
    """Who did what to what, and why. Append-only for both runtime roles."""

    __tablename__ = "audit_entries"
    __table_args__ = (Index("ix_audit_entries_subject", "merchant_id", "subject_id"),)

    id: Mapped[str] = mapped_column(Id("aud"), primary_key=True)
    actor: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(64))
    subject_id: Mapped[str] = mapped_column(String(64))
    reason: Mapped[str | None] = mapped_column(Text)
    detail: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    at: Mapped[Instant] = mapped_column(server_default=func.now())


def merchant_fk(*columns: str, to: str) -> ForeignKeyConstraint:
    """A foreign key led by the tenant: it cannot point into another merchant's rows."""
    table, _, column = to.partition(".")
    return ForeignKeyConstraint(["merchant_id", *columns], [f"{table}.merchant_id", f"{table}.{column}"])
