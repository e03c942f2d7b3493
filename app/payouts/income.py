"""What people were paid in a quarter of China's calendar: to whom, by which campaign, as the ledger has it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import func, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.rows import one_of
from app.kit import clock
from app.kit.errors import Conflict
from app.models import (
    Campaign,
    Commission,
    LedgerAccount,
    LedgerEntry,
    LedgerTransaction,
    Member,
    PayeeAccount,
    Payout,
    Withdrawal,
)
from app.payouts import acting

Item = Literal["commission", "payout_fee"]
FEE: Item = "payout_fee"


@dataclass(frozen=True, slots=True)
class IncomeLine:
    """What one campaign brought one person by one payee account, or what was withheld from it as a fee (negative).

    All lines of a person add up to what was paid to them.
    """

    member_id: str
    external_member_id: str | None
    payee: PayeeAccount
    campaign_id: str | None
    campaign: str
    item: Item
    payouts: int
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class Income:
    """`paid_minor` by currency is the ledger's sum, which the lines add up to."""

    year: int
    quarter: int
    lines: Sequence[IncomeLine]
    paid_minor: dict[str, int]


def bounds(year: int, quarter: int) -> tuple[datetime, datetime]:
    """The quarter's first instant and that of the next one, in China."""
    first = datetime(year, 3 * quarter - 2, 1, tzinfo=clock.SHANGHAI)
    following = datetime(year + quarter // 4, 3 * (quarter % 4) + 1, 1, tzinfo=clock.SHANGHAI)
    return first, following


async def report(session: AsyncSession, *, merchant_id: str, year: int, quarter: int) -> Income:
    """By when payouts were booked as paid. Conflict `income_does_not_add_up` where the ledger has another sum."""
    payouts, paid, fees = await _booked(session, merchant_id, *bounds(year, quarter))
    lines = await _lines(session, merchant_id, payouts)
    summed: dict[str, int] = defaultdict(int)
    for line in lines:
        summed[line.currency] += line.amount_minor
    withheld = -sum(line.amount_minor for line in lines if line.item == FEE)
    if summed != paid or withheld != fees:
        raise Conflict("income_does_not_add_up", f"Lines of {dict(summed)} against {paid} in the ledger: reconcile.")
    return Income(year, quarter, lines, paid)


def record(session: AsyncSession, *, merchant_id: str, actor_id: str, income: Income, full: bool) -> None:
    """Who asked for it, and whether names and accounts left the house in full."""
    acting.record(
        session,
        merchant_id=merchant_id,
        actor_id=actor_id,
        action="income.reported_in_full" if full else "income.reported",
        subject_id=merchant_id,
        year=income.year,
        quarter=income.quarter,
        people=len({line.member_id for line in income.lines}),
    )


async def _booked(
    session: AsyncSession, merchant_id: str, first: datetime, following: datetime
) -> tuple[list[str], dict[str, int], int]:
    """The payouts that the ledger says were paid then, what it says was paid by currency, and all fees."""
    in_time = (
        LedgerTransaction.merchant_id == merchant_id,
        LedgerTransaction.kind == "payout_paid",
        LedgerTransaction.occurred_at >= first,
        LedgerTransaction.occurred_at < following,
    )
    references = (await session.scalars(select(LedgerTransaction.reference).where(*in_time))).all()
    sums = (
        select(LedgerAccount.kind, LedgerEntry.currency, func.sum(LedgerEntry.amount_minor))
        .join(LedgerEntry, _own(LedgerEntry, LedgerTransaction) & (LedgerEntry.transaction_id == LedgerTransaction.id))
        .join(LedgerAccount, _own(LedgerAccount, LedgerEntry) & (LedgerAccount.id == LedgerEntry.account_id))
        .where(*in_time, LedgerAccount.kind.in_(("member_paid", "payout_fees")))
        .group_by(LedgerAccount.kind, LedgerEntry.currency)
    )
    found = (await session.execute(sums.select_from(LedgerTransaction))).all()
    paid = {currency: int(amount) for kind, currency, amount in found if kind == "member_paid"}
    return list(references), paid, sum(int(amount) for kind, _, amount in found if kind == "payout_fees")


async def _lines(session: AsyncSession, merchant_id: str, payouts: Sequence[str]) -> list[IncomeLine]:
    own = (Payout.merchant_id == merchant_id, one_of(Payout.id, payouts))
    whose = (Payout.member_id, Payout.payee_account_id, Payout.currency)
    counted = func.count(Payout.id.distinct())
    of_withdrawal = _own(Withdrawal, Payout) & (Withdrawal.id == Payout.withdrawal_id)
    earned = (
        select(*whose, Commission.campaign_id, counted, func.sum(Commission.amount_minor))
        .join(Commission, _own(Commission, Payout) & (Commission.withdrawal_id == Payout.withdrawal_id))
        .where(*own)
        .group_by(*whose, Commission.campaign_id)
    )
    charged = (
        select(*whose, literal(None), counted, -func.sum(Withdrawal.fee_minor))
        .join(Withdrawal, of_withdrawal)
        .where(*own, Withdrawal.fee_bearer == "payee", Withdrawal.fee_minor > 0)
        .group_by(*whose)
    )
    rows: list[Any] = [*(await session.execute(earned)).all(), *(await session.execute(charged)).all()]
    members = await _by_id(session, Member, merchant_id, {row[0] for row in rows})
    payees = await _by_id(session, PayeeAccount, merchant_id, {row[1] for row in rows})
    campaigns = await _by_id(session, Campaign, merchant_id, {row[3] for row in rows if row[3]})
    lines = [
        IncomeLine(
            member_id=member,
            external_member_id=members[member].external_id,
            payee=payees[payee],
            campaign_id=campaign,
            campaign=campaigns[campaign].name if campaign else "",
            item="commission" if campaign else FEE,
            payouts=count,
            amount_minor=int(amount),
            currency=currency,
        )
        for member, payee, currency, campaign, count, amount in rows
    ]
    return sorted(lines, key=lambda line: (line.member_id, line.payee.id, line.currency, line.campaign_id or "~"))


async def _by_id(session: AsyncSession, model: Any, merchant_id: str, wanted: set[str]) -> dict[str, Any]:
    found = await session.scalars(select(model).where(model.merchant_id == merchant_id, one_of(model.id, wanted)))
    return {row.id: row for row in found}


def _own(model: Any, other: Any) -> Any:
    return model.merchant_id == other.merchant_id
