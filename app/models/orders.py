from __future__ import annotations

from typing import Any

from sqlalchemy import CHAR, BigInteger, CheckConstraint, Index, LargeBinary, String, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, TenantRow
from app.db.types import Id, Instant
from app.models.merchants import merchant_fk

PAYBACKS = ("due", "processing", "unknown", "refused", "parked", "refunded", "paid_otherwise")


class Order(TenantRow, Base):
    """A purchase. `amount_minor` is goods actually paid; `rule` is the commission rule in force, copied.

    `inviter_id`: whose friend the buyer was when it paid; that one's tier is reached by these orders. The platform's
    fee is that of the merchant's plan when the order was recorded. `pieces` of the campaign's stock were taken by it.
    """

    __tablename__ = "orders"
    __table_args__ = (
        merchant_fk("campaign_id", to="campaigns.id"),
        merchant_fk("participant_id", to="participants.id"),
        merchant_fk("inviter_id", to="participants.id"),
        CheckConstraint("status IN ('paid', 'partly_refunded', 'refunded')", name="status"),
        CheckConstraint("amount_minor > 0 AND refunded_minor BETWEEN 0 AND amount_minor", name="amounts"),
        CheckConstraint(
            "platform_fee_bps BETWEEN 0 AND 10000 AND platform_fee_minor BETWEEN 0 AND amount_minor"
            " AND platform_fee_refunded_minor BETWEEN 0 AND platform_fee_minor",
            name="platform_fee",
        ),
        Index("uq_orders_external_order_id", "merchant_id", "external_order_id", unique=True),
        Index("ix_orders_campaign", "merchant_id", "campaign_id", "id"),
        Index("ix_orders_participant", "merchant_id", "participant_id", "id"),
        Index(
            "ix_orders_inviter",
            "merchant_id",
            "inviter_id",
            postgresql_include=["status", "amount_minor", "refunded_minor"],
            postgresql_where=text("inviter_id IS NOT NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(Id("ord"), primary_key=True)
    campaign_id: Mapped[str] = mapped_column(Id("cmp"))
    participant_id: Mapped[str] = mapped_column(Id("ptc"))
    member_id: Mapped[str] = mapped_column(Id("mbr"))
    inviter_id: Mapped[str | None] = mapped_column(Id("ptc"))
    external_order_id: Mapped[str] = mapped_column(String(128))
    content_hash: Mapped[bytes] = mapped_column(LargeBinary)
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    refunded_minor: Mapped[int] = mapped_column(BigInteger, server_default="0")
    shipping_minor: Mapped[int] = mapped_column(BigInteger, server_default="0")
    tax_minor: Mapped[int] = mapped_column(BigInteger, server_default="0")
    platform_fee_bps: Mapped[int] = mapped_column(server_default="0")
    platform_fee_minor: Mapped[int] = mapped_column(BigInteger, server_default="0")
    platform_fee_refunded_minor: Mapped[int] = mapped_column(BigInteger, server_default="0")
    currency: Mapped[str] = mapped_column(CHAR(3))
    status: Mapped[str] = mapped_column(String(16), server_default="paid")
    pieces: Mapped[int] = mapped_column(server_default="0")
    paid_at: Mapped[Instant]
    fulfilled_at: Mapped[Instant | None]
    rule_version: Mapped[int]
    rule: Mapped[dict[str, Any]] = mapped_column(JSONB)
    explanation: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    meta: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB, server_default="{}")
    created_at: Mapped[Instant] = mapped_column(server_default=func.now())


class OrderLine(TenantRow, Base):
    """`named_minor` of what is refunded was refunded by this line's name, the rest is its part of refunds without."""

    __tablename__ = "order_lines"
    __table_args__ = (
        merchant_fk("order_id", to="orders.id"),
        CheckConstraint("amount_minor >= 0 AND refunded_minor BETWEEN 0 AND amount_minor", name="amounts"),
        CheckConstraint("named_minor BETWEEN 0 AND refunded_minor", name="named"),
        Index("uq_order_lines_external", "merchant_id", "order_id", "external_line_id", unique=True),
    )

    id: Mapped[str] = mapped_column(Id("lin"), primary_key=True)
    order_id: Mapped[str] = mapped_column(Id("ord"))
    external_line_id: Mapped[str] = mapped_column(String(128))
    product: Mapped[str | None] = mapped_column(String(120))
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    refunded_minor: Mapped[int] = mapped_column(BigInteger, server_default="0")
    named_minor: Mapped[int] = mapped_column(BigInteger, server_default="0")


class Refund(TenantRow, Base):
    """A negative part of an order, or of a checkout that has none; `parked` while its order, and maybe its currency, is
    not known yet.
    """

    __tablename__ = "refunds"
    __table_args__ = (
        merchant_fk("order_id", to="orders.id"),
        CheckConstraint("status IN ('parked', 'applied', 'refused')", name="status"),
        CheckConstraint("amount_minor > 0", name="amount"),
        merchant_fk("checkout_id", to="checkouts.id"),
        CheckConstraint(
            "status <> 'applied' OR (coalesce(order_id, checkout_id) IS NOT NULL AND currency IS NOT NULL)",
            name="applied_to_something",
        ),
        CheckConstraint(f"payback IN {PAYBACKS}", name="payback"),
        Index(
            "ix_refunds_checkout",
            "merchant_id",
            "checkout_id",
            postgresql_where=text("checkout_id IS NOT NULL"),
        ),
        Index("uq_refunds_external_refund_id", "merchant_id", "external_refund_id", unique=True),
        Index("ix_refunds_order", "merchant_id", "order_id"),
        Index(
            "ix_refunds_parked",
            "merchant_id",
            "external_order_id",
            postgresql_where=text("status = 'parked'"),
        ),
        Index("ix_refunds_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
    )

    id: Mapped[str] = mapped_column(Id("rfd"), primary_key=True)
    order_id: Mapped[str | None] = mapped_column(Id("ord"))
    checkout_id: Mapped[str | None] = mapped_column(Id("ord"))
    external_order_id: Mapped[str] = mapped_column(String(128))
    external_refund_id: Mapped[str] = mapped_column(String(128))
    content_hash: Mapped[bytes] = mapped_column(LargeBinary)
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str | None] = mapped_column(CHAR(3))
    lines: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default="[]")
    status: Mapped[str] = mapped_column(String(16))
    refusal: Mapped[str | None] = mapped_column(String(64))
    refunded_at: Mapped[Instant]
    # What the provider of the payment says, or two people; None where the merchant gives the money back itself.
    payback: Mapped[str | None] = mapped_column(String(16))
    payback_reason: Mapped[str | None] = mapped_column(String(64))
    # A refund that its provider has closed is asked for by another key.
    payback_round: Mapped[int] = mapped_column(server_default="0")
    paid_back_at: Mapped[Instant | None]
    due_at: Mapped[Instant | None]
    attempts: Mapped[int] = mapped_column(server_default="0")
    leased_until: Mapped[Instant | None]
    created_at: Mapped[Instant] = mapped_column(server_default=func.now())
