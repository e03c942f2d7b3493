from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Computed, Index, Sequence, String, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, TenantRow
from app.db.types import Id, Instant
from app.models.merchants import merchant_fk

# A sequence, not a counter on the campaign: signups of one campaign must not queue on a row.
participant_numbers = Sequence("participant_numbers", metadata=Base.metadata)

PATH_INDEXED = 1_000  # a btree row holds 2,704 bytes; deeper paths are told apart by a filter


class Participant(TenantRow, Base):
    """A member in one campaign, and a node of its invite tree.

    `path` is the numbers from the root to this node in base 36, each ended by a dot (`1.4.2s.`): descendants share it
    as a prefix, ancestors are read out of it. `inviter_id` is level 1, `second_inviter_id` level 2.

    `path_head` is what the index holds of it. A column, because under row-level security an index on `left(path, …)`
    is never used: that function is not leakproof.
    """

    __tablename__ = "participants"
    __table_args__ = (
        merchant_fk("campaign_id", to="campaigns.id"),
        merchant_fk("member_id", to="members.id"),
        merchant_fk("inviter_id", to="participants.id"),
        CheckConstraint("inviter_id <> id", name="not_own_inviter"),
        CheckConstraint("(inviter_id IS NULL) = (depth = 0)", name="depth"),
        Index("uq_participants_member", "merchant_id", "member_id", "campaign_id", unique=True),
        Index("uq_participants_number", "merchant_id", "campaign_id", "number", unique=True),
        Index("uq_participants_invite_code", "invite_code", unique=True),
        Index("ix_participants_inviter", "merchant_id", "inviter_id", "id"),
        Index("ix_participants_path_head", "merchant_id", "campaign_id", "path_head", postgresql_include=["depth"]),
    )

    id: Mapped[str] = mapped_column(Id("ptc"), primary_key=True)
    campaign_id: Mapped[str] = mapped_column(Id("cmp"))
    member_id: Mapped[str] = mapped_column(Id("mbr"))
    invite_code: Mapped[str] = mapped_column(String(8, collation="C"))
    number: Mapped[int] = mapped_column(
        BigInteger, participant_numbers, server_default=participant_numbers.next_value()
    )
    inviter_id: Mapped[str | None] = mapped_column(Id("ptc"))
    second_inviter_id: Mapped[str | None] = mapped_column(Id("ptc"))
    depth: Mapped[int] = mapped_column(server_default="0")
    path: Mapped[str] = mapped_column(Text(collation="C"))
    path_head: Mapped[str] = mapped_column(
        Text(collation="C"), Computed(f'"left"(path, {PATH_INDEXED})', persisted=True), deferred=True
    )
    is_promoter: Mapped[bool] = mapped_column(server_default=text("true"))
    poster_template_id: Mapped[str | None] = mapped_column(String(60))
    meta: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB, server_default="{}")
    created_at: Mapped[Instant] = mapped_column(server_default=func.now())


class Referral(TenantRow, Base):
    """Inviter → invitee, at most one per invitee and campaign; `decision` keeps why this invite won."""

    __tablename__ = "referrals"
    __table_args__ = (
        merchant_fk("campaign_id", to="campaigns.id"),
        merchant_fk("inviter_id", to="participants.id"),
        merchant_fk("invitee_id", to="participants.id"),
        CheckConstraint("inviter_id <> invitee_id", name="not_self"),
        Index("uq_referrals_invitee", "merchant_id", "campaign_id", "invitee_id", unique=True),
        Index("ix_referrals_inviter", "merchant_id", "inviter_id", "id"),
    )

    id: Mapped[str] = mapped_column(Id("ref"), primary_key=True)
    campaign_id: Mapped[str] = mapped_column(Id("cmp"))
    inviter_id: Mapped[str] = mapped_column(Id("ptc"))
    invitee_id: Mapped[str] = mapped_column(Id("ptc"))
    bound_at: Mapped[Instant]
    binding_ends_at: Mapped[Instant | None]
    new_member: Mapped[bool]
    decision: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[Instant] = mapped_column(server_default=func.now())


class PastBinding(TenantRow, Base):
    """Whom an invitee was bound to until `replaced_at`; append-only. Without an inviter it had come alone.

    What holds now is in the referral; a signup writes nothing here.
    """

    __tablename__ = "past_bindings"
    __table_args__ = (
        merchant_fk("invitee_id", to="participants.id"),
        merchant_fk("inviter_id", to="participants.id"),
        Index("ix_past_bindings_invitee", "merchant_id", "invitee_id", "replaced_at"),
    )

    id: Mapped[str] = mapped_column(Id("pbd"), primary_key=True)
    invitee_id: Mapped[str] = mapped_column(Id("ptc"))
    inviter_id: Mapped[str | None] = mapped_column(Id("ptc"))
    bound_at: Mapped[Instant | None]
    binding_ends_at: Mapped[Instant | None]
    replaced_at: Mapped[Instant]
