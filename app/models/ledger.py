from __future__ import annotations

from sqlalchemy import CHAR, BigInteger, CheckConstraint, Identity, Index, String, func
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, TenantRow
from app.db.types import Id, Instant
from app.models.merchants import merchant_fk

MEMBER_KINDS = ("member_pending", "member_held", "member_payable", "member_in_payout", "member_paid")
MERCHANT_KINDS = ("merchant_commission",)


class LedgerAccount(TenantRow, Base):
    """Where money stands. A positive balance is money that stands to the account.

    A member's accounts keep their balance in the row, moved by the database with each entry; `member_paid` is what has
    left the house for the member. The merchant's own keeps none, it is the sum of its entries, so that orders do not
    queue on one row.
    """

    __tablename__ = "ledger_accounts"
    __table_args__ = (
        CheckConstraint(f"kind IN {MEMBER_KINDS + MERCHANT_KINDS}", name="kind"),
        CheckConstraint("(member_id IS NULL) = (balance_minor IS NULL)", name="balance_of_members_only"),
        CheckConstraint("(member_id IS NOT NULL) = (kind LIKE 'member%')", name="owner"),
        # A refund after payout may leave a debt in what is payable; nothing else can be taken out twice.
        CheckConstraint("kind = 'member_payable' OR balance_minor >= 0", name="only_payable_is_a_debt"),
        Index(
            "uq_ledger_accounts_owner",
            "merchant_id",
            "kind",
            "member_id",
            "currency",
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
    )

    id: Mapped[str] = mapped_column(Id("acc"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(24))
    member_id: Mapped[str | None] = mapped_column(Id("mbr"))
    currency: Mapped[str] = mapped_column(CHAR(3))
    balance_minor: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[Instant] = mapped_column(server_default=func.now())


class LedgerTransaction(TenantRow, Base):
    """One movement of money; `reference` (with `kind`) makes posting it again a no-op."""

    __tablename__ = "ledger_transactions"
    __table_args__ = (Index("uq_ledger_transactions_reference", "merchant_id", "kind", "reference", unique=True),)

    id: Mapped[str] = mapped_column(Id("txn"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    reference: Mapped[str] = mapped_column(String(80))
    occurred_at: Mapped[Instant]
    created_at: Mapped[Instant] = mapped_column(server_default=func.now())


class LedgerEntry(TenantRow, Base):
    """One leg. Append-only; each transaction's legs of a currency sum to zero, which a trigger of the table holds."""

    __tablename__ = "ledger_entries"
    __table_args__ = (
        merchant_fk("transaction_id", to="ledger_transactions.id"),
        merchant_fk("account_id", to="ledger_accounts.id"),
        CheckConstraint("amount_minor <> 0", name="amount"),
        Index("ix_ledger_entries_transaction", "merchant_id", "transaction_id"),
        Index("ix_ledger_entries_account", "merchant_id", "account_id", "number"),
    )

    number: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    transaction_id: Mapped[str] = mapped_column(Id("txn"))
    account_id: Mapped[str] = mapped_column(Id("acc"))
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(CHAR(3))
