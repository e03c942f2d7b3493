from __future__ import annotations

from sqlalchemy import CHAR, BigInteger, CheckConstraint, Index, SmallInteger, String, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, TenantRow
from app.db.types import Id, Instant
from app.models.merchants import merchant_fk

STATUSES = ("pending", "held", "payable", "in_payout", "paid", "reversed", "rejected")


class Commission(TenantRow, Base):
    """Cash of one order line, one level, one beneficiary. The amount never changes; a correction is a negative row
    that names the first in `reverses_id`. Two paid levels at most, by the law and by the constraint. `reason`: why it
    was rejected.

    No index reads `status`, and half of each page is left free: a settlement then writes the rows and no index.
    """

    __tablename__ = "commissions"
    __table_args__ = (
        merchant_fk("order_id", to="orders.id"),
        merchant_fk("line_id", to="order_lines.id"),
        merchant_fk("beneficiary_id", to="participants.id"),
        merchant_fk("reverses_id", to="commissions.id"),
        merchant_fk("refund_id", to="refunds.id"),
        merchant_fk("withdrawal_id", to="withdrawals.id"),
        CheckConstraint("level IN (1, 2)", name="two_levels_at_most"),
        CheckConstraint(f"status IN {STATUSES}", name="status"),
        CheckConstraint("(amount_minor > 0) = (reverses_id IS NULL)", name="sign"),
        CheckConstraint("amount_minor <> 0", name="amount"),
        Index(
            "uq_commissions_line_level",
            "merchant_id",
            "line_id",
            "level",
            unique=True,
            postgresql_where=text("reverses_id IS NULL"),
        ),
        Index(
            "uq_commissions_refund",
            "merchant_id",
            "refund_id",
            "line_id",
            "level",
            unique=True,
            postgresql_where=text("reverses_id IS NOT NULL"),
        ),
        Index("ix_commissions_order", "merchant_id", "order_id"),
        # By the withdrawal, null as long as there is none: what is not paid out is found by member without the status.
        Index("ix_commissions_member", "merchant_id", "member_id", "withdrawal_id"),
        Index("ix_commissions_beneficiary", "merchant_id", "beneficiary_id", "id"),
        Index(
            "ix_commissions_withdrawal",
            "merchant_id",
            "withdrawal_id",
            postgresql_where=text("withdrawal_id IS NOT NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(Id("com"), primary_key=True)
    campaign_id: Mapped[str] = mapped_column(Id("cmp"))
    order_id: Mapped[str] = mapped_column(Id("ord"))
    line_id: Mapped[str] = mapped_column(Id("lin"))
    level: Mapped[int] = mapped_column(SmallInteger)
    beneficiary_id: Mapped[str] = mapped_column(Id("ptc"))
    member_id: Mapped[str] = mapped_column(Id("mbr"))
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(CHAR(3))
    base_minor: Mapped[int] = mapped_column(BigInteger)
    rate_bps: Mapped[int | None]
    rule_version: Mapped[int]
    status: Mapped[str] = mapped_column(String(16))
    hold_until: Mapped[Instant | None]
    reverses_id: Mapped[str | None] = mapped_column(Id("com"))
    refund_id: Mapped[str | None] = mapped_column(Id("rfd"))
    withdrawal_id: Mapped[str | None] = mapped_column(Id("wdr"))
    reason: Mapped[str | None] = mapped_column(String(500))
    created_at: Mapped[Instant] = mapped_column(server_default=func.now())


class CommissionHold(TenantRow, Base):
    """What is held, in the order in which its holds end: a row for each commission with status *held*.

    The database writes it with the commission; a settlement deletes those that it releases.
    """

    __tablename__ = "commission_holds"

    hold_until: Mapped[Instant] = mapped_column(primary_key=True)
    commission_id: Mapped[str] = mapped_column(Id("com"), primary_key=True)
    member_id: Mapped[str] = mapped_column(Id("mbr"))
    currency: Mapped[str] = mapped_column(CHAR(3))
