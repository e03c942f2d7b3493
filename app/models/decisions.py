"""What two people say of money that its provider leaves open: asked for by one, confirmed by another."""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, TenantRow
from app.db.types import Id, Instant
from app.models.merchants import merchant_fk


class Decision(TenantRow):
    """What each of them is made of; `noun` is what is decided on."""

    noun: ClassVar[str]

    reason: Mapped[str] = mapped_column(Text)
    evidence: Mapped[str] = mapped_column(Text)
    asked_by: Mapped[str] = mapped_column(Id("usr"))
    asked_at: Mapped[Instant]
    confirmed_by: Mapped[str | None] = mapped_column(Id("usr"))
    confirmed_at: Mapped[Instant | None]


def _on(column: str, to: str, outcomes: str) -> tuple[ForeignKeyConstraint | CheckConstraint, ...]:
    return (
        merchant_fk(column, to=to),
        CheckConstraint(f"outcome IN ({outcomes})", name="outcome"),
        CheckConstraint("confirmed_by <> asked_by", name="two_people"),
        CheckConstraint("(confirmed_by IS NULL) = (confirmed_at IS NULL)", name="confirmed"),
    )


class PayoutDecision(Decision, Base):
    """What became of a payout that its provider tells nothing of."""

    __tablename__ = "payout_decisions"
    __table_args__ = _on("payout_id", "payouts.id", "'paid', 'failed'")
    noun = "payout"

    payout_id: Mapped[str] = mapped_column(Id("pay"), primary_key=True)
    outcome: Mapped[str] = mapped_column(String(8))

    @property
    def subject_id(self) -> str:
        return self.payout_id


class PaybackDecision(Decision, Base):
    """What is to become of a refund that its provider does not carry out."""

    __tablename__ = "payback_decisions"
    __table_args__ = _on("refund_id", "refunds.id", "'paid_otherwise', 'try_again'")
    noun = "refund"

    refund_id: Mapped[str] = mapped_column(Id("rfd"), primary_key=True)
    outcome: Mapped[str] = mapped_column(String(16))

    @property
    def subject_id(self) -> str:
        return self.refund_id
