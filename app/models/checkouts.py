from __future__ import annotations

from typing import Any

from sqlalchemy import CHAR, BigInteger, CheckConstraint, Index, LargeBinary, String, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, TenantRow
from app.db.types import Id, Instant, Sealed
from app.models.merchants import merchant_fk

PURPOSES = ("order", "plan", "top_up")
CHECKOUT_STATUSES = ("open", "paid", "expired", "failed", "refund_due", "refunded")
PROVIDERS = ("sandbox", "wechat")


class Checkout(TenantRow, Base):
    """Something to be paid on our page. Its id is the one that the order will have once it is paid.

    `reserved`: pieces of the campaign's stock that it holds. `due_at`, by the tenant's clock: when the worker turns to
    it next. `applied_at`: when what was bought was given: the order recorded, the days or the funds added.
    `provider_account`: whose payment it is at the provider. `payer_openid`: of whoever pays in WeChat: anybody with the
    link may.
    """

    __tablename__ = "checkouts"
    __table_args__ = (
        merchant_fk("campaign_id", to="campaigns.id"),
        merchant_fk("participant_id", to="participants.id"),
        merchant_fk("member_id", to="members.id"),
        CheckConstraint(f"purpose IN {PURPOSES}", name="purpose"),
        CheckConstraint(f"status IN {CHECKOUT_STATUSES}", name="status"),
        CheckConstraint(f"provider IN {PROVIDERS}", name="provider"),
        CheckConstraint("amount_minor > 0", name="amount"),
        CheckConstraint("quantity BETWEEN 1 AND 1000 AND reserved IN (0, quantity)", name="pieces"),
        CheckConstraint(
            "purpose = 'top_up' OR (campaign_id IS NOT NULL AND participant_id IS NOT NULL)", name="of_a_campaign"
        ),
        Index("uq_checkouts_id", "id", unique=True),  # pages come with the id alone
        Index(
            "uq_checkouts_external_id",
            "merchant_id",
            "provider",
            "external_id",
            unique=True,
            postgresql_where=text("external_id IS NOT NULL"),
        ),
        Index("ix_checkouts_participant", "merchant_id", "participant_id", "id"),
        Index("ix_checkouts_open", "merchant_id", "expires_at", postgresql_where=text("status = 'open'")),
        Index("ix_checkouts_refund_due", "merchant_id", "id", postgresql_where=text("status = 'refund_due'")),
        Index("ix_checkouts_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
    )

    id: Mapped[str] = mapped_column(Id("ord"), primary_key=True)
    purpose: Mapped[str] = mapped_column(String(16))
    subject: Mapped[str | None] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(64))
    campaign_id: Mapped[str | None] = mapped_column(Id("cmp"))
    participant_id: Mapped[str | None] = mapped_column(Id("ptc"))
    member_id: Mapped[str] = mapped_column(Id("mbr"))
    title: Mapped[str] = mapped_column(String(120))
    quantity: Mapped[int]
    reserved: Mapped[int] = mapped_column(server_default="0")
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(CHAR(3))
    provider: Mapped[str] = mapped_column(String(16))
    way: Mapped[str | None] = mapped_column(String(16))
    provider_account: Mapped[str | None] = mapped_column(String(160))
    payer_openid: Mapped[str | None] = mapped_column(Sealed("checkout.payer_openid"))
    external_id: Mapped[str | None] = mapped_column(String(128))
    return_url: Mapped[str | None] = mapped_column(String(500))
    meta: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB, server_default="{}")
    expires_at: Mapped[Instant]
    started_at: Mapped[Instant | None]
    paid_at: Mapped[Instant | None]
    applied_at: Mapped[Instant | None]
    refunded_at: Mapped[Instant | None]
    due_at: Mapped[Instant | None]
    attempts: Mapped[int] = mapped_column(server_default="0")
    leased_until: Mapped[Instant | None]
    created_at: Mapped[Instant] = mapped_column(server_default=func.now())


class PaymentProvider(TenantRow, Base):
    """A merchant's credentials with a payment provider, as JSON."""

    __tablename__ = "payment_providers"
    __table_args__ = (CheckConstraint(f"kind IN {PROVIDERS}", name="kind"),)

    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    settings: Mapped[str] = mapped_column(Sealed("payment_provider.settings"))
    changed_at: Mapped[Instant]
    created_at: Mapped[Instant] = mapped_column(server_default=func.now())


class PaymentNotice(TenantRow, Base):
    """A signed notification that does not fit what is known, set aside: nothing was recorded because of it."""

    __tablename__ = "payment_notices"
    __table_args__ = (
        CheckConstraint(f"provider IN {PROVIDERS}", name="provider"),
        Index("uq_payment_notices_content", "merchant_id", "content_hash", unique=True),
    )

    id: Mapped[str] = mapped_column(Id("pnt"), primary_key=True)
    provider: Mapped[str] = mapped_column(String(16))
    code: Mapped[str] = mapped_column(String(64))
    # As it was sent: there may be no such checkout.
    checkout_id: Mapped[str | None] = mapped_column(String(64))
    external_id: Mapped[str | None] = mapped_column(String(128))
    amount_minor: Mapped[int | None] = mapped_column(BigInteger)
    currency: Mapped[str | None] = mapped_column(String(16))
    content_hash: Mapped[bytes] = mapped_column(LargeBinary)
    times: Mapped[int] = mapped_column(server_default="1")
    received_at: Mapped[Instant]
    created_at: Mapped[Instant] = mapped_column(server_default=func.now())


class SandboxPayment(TenantRow, Base):
    """The books of the sandbox cashier, by the key it was asked with. `settles_at`: from when on it tells of it."""

    __tablename__ = "sandbox_payments"
    __table_args__ = (
        CheckConstraint("status IN ('waiting', 'paid', 'failed', 'closed', 'refunded')", name="status"),
        Index("ix_sandbox_payments_notify", "notify_at", postgresql_where=text("notify_at IS NOT NULL")),
    )

    key: Mapped[str] = mapped_column(String(32), primary_key=True)
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(CHAR(3))
    status: Mapped[str] = mapped_column(String(16))
    settles_at: Mapped[Instant | None]
    notify_at: Mapped[Instant | None]
    refunds: Mapped[dict[str, int]] = mapped_column(JSONB, server_default="{}")
    created_at: Mapped[Instant] = mapped_column(server_default=func.now())
