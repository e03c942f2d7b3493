from __future__ import annotations

from sqlalchemy import CHAR, BigInteger, CheckConstraint, Index, LargeBinary, String, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, TenantRow
from app.db.types import Id, Instant, Sealed
from app.models.merchants import merchant_fk

WITHDRAWAL_STATUSES = ("requested", "approved", "rejected", "in_payout", "paid", "failed", "cancelled")
BATCH_STATUSES = ("built", "approved", "exported", "sent", "settled", "cancelled")
RAILS = ("wechat", "alipay", "sandbox")
FEE_BEARERS = ("merchant", "payee")
PAYOUT_STATUSES = ("created", "submitting", "awaiting_payee", "unknown", "paid", "failed", "cancelled")


class PayeeAccount(TenantRow, Base):
    """Where a member is paid: the account chosen last, unless another one is named. Only masked forms leave the system,
    but for the payout file.
    """

    __tablename__ = "payee_accounts"
    __table_args__ = (
        merchant_fk("member_id", to="members.id"),
        CheckConstraint("kind IN ('wechat', 'alipay', 'bank')", name="kind"),
        Index("uq_payee_accounts_account", "merchant_id", "member_id", "kind", "account_index", unique=True),
        Index("ix_payee_accounts_index", "merchant_id", "account_index"),
    )

    id: Mapped[str] = mapped_column(Id("pac"), primary_key=True)
    member_id: Mapped[str] = mapped_column(Id("mbr"))
    kind: Mapped[str] = mapped_column(String(8))
    account: Mapped[str] = mapped_column(Sealed("payee_account.account"))
    account_index: Mapped[bytes] = mapped_column(LargeBinary)
    real_name: Mapped[str] = mapped_column(Sealed("payee_account.real_name"))
    bank_name: Mapped[str | None] = mapped_column(String(80))
    chosen_at: Mapped[Instant] = mapped_column(server_default=func.now())
    created_at: Mapped[Instant] = mapped_column(server_default=func.now())


class PayoutSettings(TenantRow, Base):
    """What a merchant asks of withdrawals; the defaults where there is no row.

    The fee of a withdrawal is `fee_minor` and `fee_bps` of it. Where the payee bears it, what goes out is less.
    """

    __tablename__ = "payout_settings"
    __table_args__ = (
        CheckConstraint("fee_minor BETWEEN 0 AND 1000000 AND fee_bps BETWEEN 0 AND 1000", name="fee"),
        CheckConstraint(f"fee_bearer IN {FEE_BEARERS}", name="fee_bearer"),
        # Then what goes out is 0.10 or more for every greater amount, too: a fee grows no faster than its amount.
        CheckConstraint(
            "minimum_minor BETWEEN 10 AND 100000000 AND (fee_bearer = 'merchant' OR"
            " minimum_minor - fee_minor - minimum_minor * fee_bps / 10000 >= 10)",
            name="minimum",
        ),
    )

    minimum_minor: Mapped[int] = mapped_column(BigInteger, server_default="100")
    fee_minor: Mapped[int] = mapped_column(BigInteger, server_default="0")
    fee_bps: Mapped[int] = mapped_column(server_default="0")
    fee_bearer: Mapped[str] = mapped_column(String(8), server_default="merchant")
    changed_at: Mapped[Instant]
    created_at: Mapped[Instant] = mapped_column(server_default=func.now())


class Withdrawal(TenantRow, Base):
    """All commissions of a member that were payable at one moment; they point here.

    `amount_minor` leaves the member's balance; the fee was agreed when it was asked for.
    """

    __tablename__ = "withdrawals"
    __table_args__ = (
        merchant_fk("member_id", to="members.id"),
        merchant_fk("payee_account_id", to="payee_accounts.id"),
        CheckConstraint(f"status IN {WITHDRAWAL_STATUSES}", name="status"),
        CheckConstraint("amount_minor > 0", name="amount"),
        CheckConstraint(f"fee_bearer IN {FEE_BEARERS}", name="fee_bearer"),
        CheckConstraint("fee_minor >= 0 AND (fee_bearer = 'merchant' OR fee_minor < amount_minor)", name="fee"),
        Index("ix_withdrawals_member", "merchant_id", "member_id", "id"),
        Index(
            "uq_withdrawals_open",
            "merchant_id",
            "member_id",
            "currency",
            unique=True,
            postgresql_where=text("status IN ('requested', 'approved', 'in_payout')"),
        ),
    )

    id: Mapped[str] = mapped_column(Id("wdr"), primary_key=True)
    member_id: Mapped[str] = mapped_column(Id("mbr"))
    payee_account_id: Mapped[str] = mapped_column(Id("pac"))
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    fee_minor: Mapped[int] = mapped_column(BigInteger, server_default="0")
    fee_bearer: Mapped[str] = mapped_column(String(8), server_default="merchant")
    currency: Mapped[str] = mapped_column(CHAR(3))
    status: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[Instant] = mapped_column(server_default=func.now())

    @property
    def withheld_minor(self) -> int:
        return self.fee_minor if self.fee_bearer == "payee" else 0

    @property
    def borne_minor(self) -> int:
        """What the payout costs the merchant besides."""
        return self.fee_minor - self.withheld_minor

    @property
    def net_minor(self) -> int:
        """What goes out to the payee."""
        return self.amount_minor - self.withheld_minor


class PayoutBatch(TenantRow, Base):
    """The file or run that carries many payouts. Rows are never deleted, so a number is never used twice."""

    __tablename__ = "payout_batches"
    __table_args__ = (
        CheckConstraint(f"status IN {BATCH_STATUSES}", name="status"),
        CheckConstraint("approved_by IS NULL OR approved_by <> built_by", name="maker_is_not_checker"),
        Index("uq_payout_batches_number", "merchant_id", "number", unique=True),
    )

    id: Mapped[str] = mapped_column(Id("bat"), primary_key=True)
    number: Mapped[str] = mapped_column(String(32))
    channel: Mapped[str] = mapped_column(String(16), server_default="file")
    campaign_id: Mapped[str | None] = mapped_column(Id("cmp"))
    requested_before: Mapped[Instant | None]
    status: Mapped[str] = mapped_column(String(16))
    payout_count: Mapped[int]
    total_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(CHAR(3))
    built_by: Mapped[str] = mapped_column(Id("usr"))
    approved_by: Mapped[str | None] = mapped_column(Id("usr"))
    approved_at: Mapped[Instant | None]
    exported_at: Mapped[Instant | None]
    sent_at: Mapped[Instant | None]
    settled_at: Mapped[Instant | None]
    created_at: Mapped[Instant] = mapped_column(server_default=func.now())


class PayoutBatchFile(TenantRow, Base):
    """What was exported, in each format, once: exporting again returns these bytes. Append-only.

    `content` is the base64 of the bytes, sealed: the file holds names and accounts in full.
    """

    __tablename__ = "payout_batch_files"
    __table_args__ = (
        merchant_fk("batch_id", to="payout_batches.id"),
        CheckConstraint("format IN ('csv', 'xlsx', 'alipay', 'alipay-gbk')", name="format"),
    )

    batch_id: Mapped[str] = mapped_column(Id("bat"), primary_key=True)
    format: Mapped[str] = mapped_column(String(16), primary_key=True)
    name: Mapped[str] = mapped_column(String(120))
    content: Mapped[str] = mapped_column(Sealed("payout_batch_file.content"))
    created_at: Mapped[Instant] = mapped_column(server_default=func.now())


class Payout(TenantRow, Base):
    """One transfer to one payee account, of one withdrawal; `amount_minor` is what goes out.

    On a `rail`: `due_at` by the tenant's clock, when its provider is asked again; `leased_until` by the real one, while
    somebody asks; `attempts` numbers the claims, `moved_at` is when the status last changed. `rail_account` is
    whose transfer it is there.
    """

    __tablename__ = "payouts"
    __table_args__ = (
        merchant_fk("batch_id", to="payout_batches.id"),
        merchant_fk("withdrawal_id", to="withdrawals.id"),
        merchant_fk("payee_account_id", to="payee_accounts.id"),
        CheckConstraint(f"status IN {PAYOUT_STATUSES}", name="status"),
        CheckConstraint("amount_minor > 0", name="amount"),
        Index(
            "uq_payouts_withdrawal",
            "merchant_id",
            "withdrawal_id",
            unique=True,
            postgresql_where=text("status NOT IN ('failed', 'cancelled')"),
        ),
        CheckConstraint(f"rail IN {RAILS}", name="rail"),
        Index("ix_payouts_batch", "merchant_id", "batch_id", "id"),
        Index("ix_payouts_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index("ix_payouts_external_id", "merchant_id", "external_id", postgresql_where=text("external_id IS NOT NULL")),
    )

    id: Mapped[str] = mapped_column(Id("pay"), primary_key=True)
    batch_id: Mapped[str] = mapped_column(Id("bat"))
    withdrawal_id: Mapped[str] = mapped_column(Id("wdr"))
    member_id: Mapped[str] = mapped_column(Id("mbr"))
    payee_account_id: Mapped[str] = mapped_column(Id("pac"))
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(CHAR(3))
    status: Mapped[str] = mapped_column(String(16))
    external_id: Mapped[str | None] = mapped_column(String(128))
    reason: Mapped[str | None] = mapped_column(Text)
    paid_at: Mapped[Instant | None]
    rail: Mapped[str | None] = mapped_column(String(16))
    rail_account: Mapped[str | None] = mapped_column(String(160))
    attempts: Mapped[int] = mapped_column(server_default="0")
    due_at: Mapped[Instant | None]
    leased_until: Mapped[Instant | None]
    moved_at: Mapped[Instant | None]
    cancel_asked_at: Mapped[Instant | None]
    package_info: Mapped[str | None] = mapped_column(Sealed("payout.package_info"))
    created_at: Mapped[Instant] = mapped_column(server_default=func.now())


class PayoutRail(TenantRow, Base):
    """A merchant's credentials with a provider, as JSON."""

    __tablename__ = "payout_rails"
    __table_args__ = (CheckConstraint(f"kind IN {RAILS}", name="kind"),)

    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    settings: Mapped[str] = mapped_column(Sealed("payout_rail.settings"))
    changed_at: Mapped[Instant]
    created_at: Mapped[Instant] = mapped_column(server_default=func.now())


class SandboxTransfer(TenantRow, Base):
    """The books of the provider that test tenants have: what it has carried out, by the key it was asked with."""

    __tablename__ = "sandbox_transfers"
    __table_args__ = (
        CheckConstraint("status IN ('processing', 'awaiting', 'paid', 'rejected', 'closed')", name="status"),
    )

    key: Mapped[str] = mapped_column(String(32), primary_key=True)
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(CHAR(3))
    status: Mapped[str] = mapped_column(String(16))
    asked_again: Mapped[int] = mapped_column(server_default="0")
    settles_at: Mapped[Instant | None]
    created_at: Mapped[Instant] = mapped_column(server_default=func.now())
