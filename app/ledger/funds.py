"""What a merchant has paid in: where it stands, and what may be taken of it.

`merchant_deposits` and `customer_payments` → `merchant_funds` → (a batch is approved) `merchant_funds_reserved` →
(its payout is paid) `funds_spent`; the part of a payout that failed or was cancelled goes back. What is refunded of a
sale or a top-up leaves `merchant_funds` as it came.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.rows import one_of
from app.kit.errors import Conflict
from app.kit.money import yuan
from app.ledger import service
from app.ledger.rules import BUCKETS, Leg, member_account
from app.models import LedgerAccount, LedgerEntry, LedgerTransaction

Source = Literal["top_up", "sale"]
Way = tuple[str, str]
_IN: Mapping[Source, tuple[str, Way]] = {
    "top_up": ("funds_topped_up", ("merchant_deposits", "merchant_funds")),
    "sale": ("sale_received", ("customer_payments", "merchant_funds")),
}
_RESERVE: Way = ("merchant_funds", "merchant_funds_reserved")
_RELEASE: Way = ("merchant_funds_reserved", "merchant_funds")
_SPEND: Way = ("merchant_funds_reserved", "funds_spent")
_OWED = tuple(bucket for bucket in BUCKETS if bucket != "paid")
_SHOWN = ("merchant_funds", "merchant_funds_reserved", "funds_spent", "platform_fee")

# Taken after every other lock: whoever has it waits for nobody.
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('funds:' || :merchant_id, 0))")


@dataclass(frozen=True, slots=True)
class Funds:
    """Minor units. `funds_minor` is not reserved for any payout yet; what is owed to the platform is still in it."""

    currency: str
    funds_minor: int = 0
    reserved_minor: int = 0
    spent_minor: int = 0
    owed_fees_minor: int = 0

    @property
    def available_minor(self) -> int:
        """Below zero where the platform is owed more than there is."""
        return self.funds_minor - self.owed_fees_minor


async def available(session: AsyncSession, *, merchant_id: str, currency: str) -> Funds:
    statement = (
        select(LedgerAccount.kind, func.sum(LedgerEntry.amount_minor))
        .join(
            LedgerEntry,
            (LedgerEntry.merchant_id == LedgerAccount.merchant_id) & (LedgerEntry.account_id == LedgerAccount.id),
        )
        .where(LedgerAccount.merchant_id == merchant_id, LedgerAccount.currency == currency)
        .where(LedgerAccount.kind.in_(_SHOWN))
        .group_by(LedgerAccount.kind)
    )
    found = {kind: int(total) for kind, total in (await session.execute(statement)).all()}
    return Funds(currency, *(found.get(kind, 0) for kind in _SHOWN))


async def owed_to_members(session: AsyncSession, *, merchant_id: str, currency: str) -> dict[str, int]:
    """What stands to all members, by bucket, but for what was paid."""
    statement = (
        select(LedgerAccount.kind, func.sum(LedgerAccount.balance_minor))
        .where(LedgerAccount.merchant_id == merchant_id, LedgerAccount.currency == currency)
        .where(LedgerAccount.kind.in_([member_account(bucket) for bucket in _OWED]))
        .group_by(LedgerAccount.kind)
    )
    found = {kind: int(total) for kind, total in (await session.execute(statement)).all()}
    return {bucket: found.get(member_account(bucket), 0) for bucket in _OWED}


async def received(
    session: AsyncSession,
    *,
    merchant_id: str,
    source: Source,
    reference: str,
    amount_minor: int,
    currency: str,
    occurred_at: datetime,
) -> bool:
    """Money that the platform holds for the merchant from now on; False where `reference` brought it before.

    Conflict `reference_reused` where it brought another amount.
    """
    kind, way = _IN[source]
    own: dict[str, Any] = {"merchant_id": merchant_id, "kind": kind, "occurred_at": occurred_at, "currency": currency}
    if await service.post(session, **own, reference=reference, legs=_legs(way, amount_minor)) is not None:
        return True
    before = await _amount(session, merchant_id, kind, reference)
    if before != (amount_minor, currency):
        raise Conflict(
            "reference_reused", f"{reference} brought {yuan(before[0])} {before[1]} before; nothing changed."
        )
    return False


async def returned(
    session: AsyncSession, *, merchant_id: str, reference: str, amount_minor: int, currency: str, occurred_at: datetime
) -> None:
    """A customer gets back what was paid in the tool: it is there no more, which may leave less than nothing."""
    own: dict[str, Any] = {"merchant_id": merchant_id, "currency": currency, "occurred_at": occurred_at}
    legs = _legs(("merchant_funds", "customer_payments"), amount_minor)
    await service.post(session, **own, kind="sale_returned", reference=reference, legs=legs)


async def withdraw(
    session: AsyncSession, *, merchant_id: str, reference: str, amount_minor: int, currency: str, occurred_at: datetime
) -> None:
    """Of a top-up, back to the merchant; Conflict `funds_insufficient`: what is owed or put aside stays.

    One after the other with those who reserve.
    """
    await session.execute(_LOCK, {"merchant_id": merchant_id})
    await require(session, merchant_id=merchant_id, currency=currency, amount_minor=amount_minor)
    own: dict[str, Any] = {"merchant_id": merchant_id, "currency": currency, "occurred_at": occurred_at}
    legs = _legs(("merchant_funds", "merchant_deposits"), amount_minor)
    await service.post(session, **own, kind="top_up_returned", reference=reference, legs=legs)


async def require(session: AsyncSession, *, merchant_id: str, currency: str, amount_minor: int) -> Funds:
    """Conflict `funds_insufficient`, with both figures, where less is available."""
    found = await available(session, merchant_id=merchant_id, currency=currency)
    if amount_minor > found.available_minor:
        raise Conflict(
            "funds_insufficient",
            f"This takes {yuan(amount_minor)} {currency} ({amount_minor} minor units), {yuan(found.available_minor)}"
            f" ({found.available_minor}) is available: top up, or pay fewer.",
        )
    return found


async def reserve(
    session: AsyncSession, *, merchant_id: str, currency: str, amounts: Mapping[str, int], occurred_at: datetime
) -> None:
    """Put the amounts aside, each under its reference, all or none; Conflict `funds_insufficient`.

    Those who reserve at once do so one after the other: the second one sees what the first one left.
    """
    await session.execute(_LOCK, {"merchant_id": merchant_id})
    await require(session, merchant_id=merchant_id, currency=currency, amount_minor=sum(amounts.values()))
    await _move(session, merchant_id, "funds_reserved", _RESERVE, currency, amounts, occurred_at)


async def release(
    session: AsyncSession, *, merchant_id: str, currency: str, references: Iterable[str], occurred_at: datetime
) -> None:
    """Nothing is paid: what was reserved under these references is available again. Others are left alone."""
    mine = await _reserved(session, merchant_id, references)
    await _move(session, merchant_id, "funds_released", _RELEASE, currency, mine, occurred_at)


async def spend(
    session: AsyncSession, *, merchant_id: str, currency: str, references: Iterable[str], occurred_at: datetime
) -> None:
    """Paid: what was reserved under these references has left. Others are left alone: nothing was reserved for them."""
    mine = await _reserved(session, merchant_id, references)
    await _move(session, merchant_id, "funds_spent", _SPEND, currency, mine, occurred_at)


async def _move(
    session: AsyncSession,
    merchant_id: str,
    kind: str,
    way: Way,
    currency: str,
    amounts: Mapping[str, int],
    occurred_at: datetime,
) -> None:
    if amounts:
        await service.post_each(
            session,
            merchant_id=merchant_id,
            kind=kind,
            occurred_at=occurred_at,
            currency=currency,
            movements={reference: _legs(way, amount) for reference, amount in amounts.items()},
        )


async def _reserved(session: AsyncSession, merchant_id: str, references: Iterable[str]) -> dict[str, int]:
    """By reference, as it was put aside: what things cost may have been reckoned otherwise then."""
    statement = (
        select(LedgerTransaction.reference, LedgerEntry.amount_minor)
        .join(
            LedgerEntry,
            (LedgerEntry.merchant_id == LedgerTransaction.merchant_id)
            & (LedgerEntry.transaction_id == LedgerTransaction.id),
        )
        .where(
            LedgerTransaction.merchant_id == merchant_id,
            LedgerTransaction.kind == "funds_reserved",
            one_of(LedgerTransaction.reference, references),
            LedgerEntry.amount_minor > 0,
        )
    )
    return dict((await session.execute(statement)).tuples().all())


async def _amount(session: AsyncSession, merchant_id: str, kind: str, reference: str) -> tuple[int, str]:
    statement = (
        select(LedgerEntry.amount_minor, LedgerEntry.currency)
        .join(
            LedgerTransaction,
            (LedgerTransaction.merchant_id == LedgerEntry.merchant_id)
            & (LedgerTransaction.id == LedgerEntry.transaction_id),
        )
        .where(LedgerTransaction.merchant_id == merchant_id, LedgerTransaction.kind == kind)
        .where(LedgerTransaction.reference == reference, LedgerEntry.amount_minor > 0)
    )
    row = (await session.execute(statement)).one()
    return row.amount_minor, row.currency


def _legs(way: Way, amount_minor: int) -> list[Leg]:
    source, target = way
    return [Leg(source, None, -amount_minor), Leg(target, None, amount_minor)]
