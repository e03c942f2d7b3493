from __future__ import annotations

from sqlalchemy import CHAR, BigInteger, CheckConstraint, Computed, Identity, Index, String, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, TenantRow
from app.db.types import Id, Instant
from app.models.merchants import merchant_fk

MEMBER_KINDS = ("member_pending", "member_held", "member_payable", "member_in_payout", "member_paid")
ORDER_KIND = "order_clearing"
# What customers paid, and where it went: to promoters (merchant_commission in the books of earlier orders, now straight
# from the order), to the platform, and the rest. Then what a merchant paid in, reserved for payouts, and paid out; what
# was withheld from payouts as their fee.
MERCHANT_KINDS = (
    "merchant_commission",
    "merchant_sales",
    "merchant_proceeds",
    "platform_fee",
    "merchant_deposits",
    "customer_payments",
    "merchant_funds",
    "merchant_funds_reserved",
    "funds_spent",
    "payout_fees",
)


class LedgerAccount(TenantRow, Base):
    """Where money stands. A positive balance is money that stands to the account.

    A member's accounts keep their balance in the row, moved by the database with each entry; `member_paid` is what has
    left the house for the member. So does an order's: what it brought in and is not yet shared out, zero once all of
    its legs are there, `is_open` until then. The merchant's own keep none, they are the sum of their entries, so that
    orders do not queue on one row.
    """

    __tablename__ = "ledger_accounts"
    __table_args__ = (
        merchant_fk("order_id", to="orders.id"),
        CheckConstraint(f"kind IN {(*MEMBER_KINDS, ORDER_KIND, *MERCHANT_KINDS)}", name="kind"),
        CheckConstraint(
            "(member_id IS NULL AND order_id IS NULL) = (balance_minor IS NULL)", name="balance_of_members_and_orders"
        ),
        CheckConstraint("(member_id IS NOT NULL) = (kind LIKE 'member%')", name="owner"),
        CheckConstraint(f"(order_id IS NOT NULL) = (kind = '{ORDER_KIND}')", name="order"),
        CheckConstraint("order_id = id", name="number_of_its_order"),
        # A refund after payout may leave a debt in what is payable; nothing else can be taken out twice.
        CheckConstraint("kind = 'member_payable' OR balance_minor >= 0", name="only_payable_is_a_debt"),
        Index(
            "uq_ledger_accounts_member",
            "merchant_id",
            "kind",
            "member_id",
            "currency",
            unique=True,
            postgresql_where=text("member_id IS NOT NULL"),
        ),
        Index(
            "uq_ledger_accounts_merchant",
            "merchant_id",
            "kind",
            "currency",
            unique=True,
            postgresql_where=text("member_id IS NULL AND order_id IS NULL"),
        ),
        Index("ix_ledger_accounts_open", "merchant_id", "order_id", postgresql_where=text("is_open")),
    )

    id: Mapped[str] = mapped_column(Id("acc"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(24))
    member_id: Mapped[str | None] = mapped_column(Id("mbr"))
    order_id: Mapped[str | None] = mapped_column(Id("ord"))
    currency: Mapped[str] = mapped_column(CHAR(3))
    balance_minor: Mapped[int | None] = mapped_column(BigInteger)
    is_open: Mapped[bool] = mapped_column(
        Computed("order_id IS NOT NULL AND balance_minor <> 0", persisted=True), deferred=True
    )
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
