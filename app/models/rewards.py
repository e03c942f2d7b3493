from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Index, SmallInteger, String, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, TenantRow
from app.db.types import Id, Instant
from app.models.merchants import merchant_fk

STATUSES = ("owed", "granted", "skipped_cap", "revoked")
SIDES = ("inviter", "invitee")


class Reward(TenantRow, Base):
    """One side's reward for one invite, at most once per rule: the unique key is what makes it so."""

    __tablename__ = "rewards"
    __table_args__ = (
        merchant_fk("campaign_id", to="campaigns.id"),
        merchant_fk("participant_id", to="participants.id"),
        merchant_fk("invitee_id", to="participants.id"),
        CheckConstraint(f"status IN {STATUSES}", name="status"),
        CheckConstraint(f"side IN {SIDES}", name="side"),
        CheckConstraint("days > 0", name="days"),
        CheckConstraint("NOT fallen OR status = 'revoked'", name="fallen"),
        Index("uq_rewards_once", "merchant_id", "campaign_id", "invitee_id", "rule_key", "side", unique=True),
        Index("ix_rewards_participant", "merchant_id", "participant_id", "id"),
        Index("ix_rewards_member", "merchant_id", "member_id", "status"),
        # What an inviter's cap is held against; with a cap, few rows however many were invited.
        Index(
            "ix_rewards_earned",
            "merchant_id",
            "participant_id",
            postgresql_include=["days"],
            postgresql_where=text("side = 'inviter' AND status = 'granted'"),
        ),
        Index("ix_rewards_due", "next_attempt_at", postgresql_where=text("status = 'owed' AND ripe")),
    )

    id: Mapped[str] = mapped_column(Id("rwd"), primary_key=True)
    campaign_id: Mapped[str] = mapped_column(Id("cmp"))
    referral_id: Mapped[str | None] = mapped_column(Id("ref"))
    participant_id: Mapped[str] = mapped_column(Id("ptc"))
    member_id: Mapped[str] = mapped_column(Id("mbr"))
    invitee_id: Mapped[str] = mapped_column(Id("ptc"))
    rule_key: Mapped[str] = mapped_column(String(64))
    rule_version: Mapped[int]
    side: Mapped[str] = mapped_column(String(8))
    trigger: Mapped[str] = mapped_column(String(24))
    days: Mapped[int]
    cap_days: Mapped[int | None]
    status: Mapped[str] = mapped_column(String(16), server_default="owed")
    # Its trigger has happened, or does at `next_attempt_at`: the worker may grant it then. Until it is ripe the reward
    # waits, however long it takes.
    ripe: Mapped[bool] = mapped_column(server_default=text("false"))
    # Revoked because nothing was left of what the invitee had bought: the next order brings it back. Each time is a
    # round, whose days are a grant of its own.
    fallen: Mapped[bool] = mapped_column(server_default=text("false"))
    round: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    attempts: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    next_attempt_at: Mapped[Instant] = mapped_column(server_default=func.now())
    last_error: Mapped[str | None] = mapped_column(Text)
    decided_at: Mapped[Instant | None]
    created_at: Mapped[Instant] = mapped_column(server_default=func.now())


class MembershipGrant(TenantRow, Base):
    """A piece of membership time, in seconds; negative where it was revoked. Append-only for the runtime roles."""

    __tablename__ = "membership_grants"
    __table_args__ = (
        merchant_fk("member_id", to="members.id"),
        CheckConstraint("seconds <> 0", name="seconds"),
        Index("uq_membership_grants_source", "merchant_id", "source", "source_key", unique=True),
        Index("ix_membership_grants_member", "merchant_id", "member_id", "granted_at"),
    )

    id: Mapped[str] = mapped_column(Id("mgr"), primary_key=True)
    member_id: Mapped[str] = mapped_column(Id("mbr"))
    source: Mapped[str] = mapped_column(String(24))  # reward, trial, paid, revocation
    source_key: Mapped[str] = mapped_column(String(64))  # of that source: a reward's id (and round), an order's id
    paid: Mapped[bool] = mapped_column(server_default=text("false"))
    seconds: Mapped[int] = mapped_column(BigInteger)
    granted_at: Mapped[Instant]


class Membership(TenantRow, Base):
    """The cached end of a member's timeline, and the row that grants to one member queue on."""

    __tablename__ = "memberships"
    __table_args__ = (merchant_fk("member_id", to="members.id"),)

    member_id: Mapped[str] = mapped_column(Id("mbr"), primary_key=True)
    ends_at: Mapped[Instant | None]
