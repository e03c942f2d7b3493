"""The three movements of a withdrawal: commissions into it, out of it again, and out of the house, less its fee.

All lock the members' ledger accounts first and touch commissions then, so that each statement sees all that is payable
at that moment, and no two of them wait for each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app.commissions.service import close_netted
from app.db.rows import one_of
from app.db.types import Id
from app.kit import ids
from app.ledger import service as ledger
from app.ledger.rules import Leg, member_account
from app.models import Commission, Payout, Withdrawal
from app.payouts.rules import Terms

AT_ONCE = 500
Progress = Callable[[int, int], None]
"""Told after each step how many of how many are done."""


def silent(_done: int, _total: int) -> None:
    return


@dataclass(frozen=True, slots=True)
class Wish:
    """Pay this member all that is payable, to this account."""

    member_id: str
    payee_account_id: str


# One guarded statement: nobody is taken from who has a withdrawal open, too little, or another sum in the ledger.
_TAKE = text("""
    WITH wanted AS (
        SELECT * FROM unnest(:members, :withdrawals, :payees) AS w (member_id, id, payee_account_id)),
    sums AS (
        SELECT c.member_id FROM wanted
        JOIN commissions c ON c.merchant_id = :merchant_id AND c.member_id = wanted.member_id
            AND c.currency = :currency AND c.status = 'payable' AND c.withdrawal_id IS NULL
        JOIN ledger_accounts a ON a.merchant_id = :merchant_id AND a.member_id = wanted.member_id
            AND a.currency = :currency AND a.kind = 'member_payable'
        WHERE NOT EXISTS (
            SELECT 1 FROM withdrawals o WHERE o.merchant_id = :merchant_id AND o.member_id = wanted.member_id
                AND o.currency = :currency AND o.status IN ('requested', 'approved', 'in_payout'))
        GROUP BY c.member_id, a.balance_minor
        HAVING sum(c.amount_minor) >= :minimum AND sum(c.amount_minor) = a.balance_minor),
    taken AS (
        UPDATE commissions c SET status = 'in_payout', withdrawal_id = wanted.id
        FROM wanted JOIN sums USING (member_id)
        WHERE c.merchant_id = :merchant_id AND c.member_id = wanted.member_id AND c.currency = :currency
            AND c.status = 'payable' AND c.withdrawal_id IS NULL
        RETURNING wanted.id, c.amount_minor)
    INSERT INTO withdrawals (merchant_id, id, member_id, payee_account_id, amount_minor, fee_minor, fee_bearer,
        currency, status, created_at)
    SELECT :merchant_id, wanted.id, wanted.member_id, wanted.payee_account_id, total.minor,
        :fee_minor + div(total.minor * :fee_bps, 10000), :fee_bearer, :currency, 'requested', :now
    FROM wanted JOIN (SELECT id, sum(amount_minor) AS minor FROM taken GROUP BY id) total USING (id)
    RETURNING id
""").bindparams(
    bindparam("merchant_id", type_=Id("mch")),
    bindparam("members", type_=ARRAY(Id("mbr"))),
    bindparam("withdrawals", type_=ARRAY(Id("wdr"))),
    bindparam("payees", type_=ARRAY(Id("pac"))),
)
_TAKEN = _TAKE.columns(Withdrawal.id)


async def take(
    session: AsyncSession,
    *,
    merchant_id: str,
    wishes: Sequence[Wish],
    currency: str,
    terms: Terms,
    now: datetime,
    progress: Progress = silent,
) -> Sequence[Withdrawal]:
    """A withdrawal for each wish that can be met, with every commission payable to its member at that moment."""
    if not wishes:
        return []
    members = [wish.member_id for wish in wishes]
    await ledger.lock(session, merchant_id=merchant_id, currency=currency, member_ids=members)
    wanted = {
        "merchant_id": merchant_id,
        "members": members,
        "withdrawals": [ids.new("wdr") for _ in wishes],
        "payees": [wish.payee_account_id for wish in wishes],
        "currency": currency,
        "minimum": terms.minimum_minor,
        "fee_minor": terms.fee_minor,
        "fee_bps": terms.fee_bps,
        "fee_bearer": terms.fee_bearer,
        "now": now,
    }
    taken = (await session.scalars(_TAKEN, wanted)).all()
    of_them = (Withdrawal.merchant_id == merchant_id, one_of(Withdrawal.id, taken))
    withdrawals = (await session.scalars(select(Withdrawal).where(*of_them).order_by(Withdrawal.id))).all()
    booked = [(withdrawal.id, withdrawal) for withdrawal in withdrawals]
    await _post(session, booked, "withdrawal_requested", _between("payable", "in_payout"), now, progress)
    return withdrawals


async def give_back(
    session: AsyncSession,
    *,
    merchant_id: str,
    withdrawals: Sequence[Withdrawal],
    status: str,
    now: datetime,
    progress: Progress = silent,
) -> None:
    """Failed or cancelled: the commissions are payable again."""
    await lock(session, merchant_id=merchant_id, withdrawals=withdrawals)
    mine = one_of(Commission.withdrawal_id, [withdrawal.id for withdrawal in withdrawals])
    free = update(Commission).where(Commission.merchant_id == merchant_id, mine, Commission.status == "in_payout")
    freed = await session.scalars(free.values(status="payable", withdrawal_id=None).returning(Commission.order_id))
    members = {withdrawal.member_id for withdrawal in withdrawals}
    await close_netted(session, merchant_id=merchant_id, member_ids=members, order_ids=set(freed))
    for withdrawal in withdrawals:
        withdrawal.status = status
    await session.flush()
    booked = [(withdrawal.id, withdrawal) for withdrawal in withdrawals]
    await _post(session, booked, "withdrawal_returned", _between("in_payout", "payable"), now, progress)


async def settle(
    session: AsyncSession,
    *,
    merchant_id: str,
    paid: Sequence[tuple[Payout, Withdrawal]],
    now: datetime,
    progress: Progress = silent,
) -> Sequence[Commission]:
    """Paid: the money has left the house, and the fee of it is booked. Returns the commissions that it paid."""
    await lock(session, merchant_id=merchant_id, withdrawals=[withdrawal for _, withdrawal in paid])
    mine = one_of(Commission.withdrawal_id, [withdrawal.id for _, withdrawal in paid])
    pay = update(Commission).where(Commission.merchant_id == merchant_id, mine, Commission.status == "in_payout")
    rows = (await session.scalars(pay.values(status="paid").returning(Commission))).all()
    for _, withdrawal in paid:
        withdrawal.status = "paid"
    await session.flush()
    booked = [(payout.id, withdrawal) for payout, withdrawal in paid]
    await _post(session, booked, "payout_paid", _between("in_payout", "paid"), now, progress)
    borne = [(payout.id, withdrawal) for payout, withdrawal in paid if withdrawal.borne_minor]
    await _post(session, borne, "payout_fee_borne", _of_the_merchant, now, silent)
    return rows


async def lock(session: AsyncSession, *, merchant_id: str, withdrawals: Sequence[Withdrawal]) -> None:
    """Whoever makes several of these movements locks the members of all of them first: one after the other they would
    be locked in no order."""
    for currency in sorted({withdrawal.currency for withdrawal in withdrawals}):
        members = [withdrawal.member_id for withdrawal in withdrawals if withdrawal.currency == currency]
        await ledger.lock(session, merchant_id=merchant_id, currency=currency, member_ids=members)


async def _post(
    session: AsyncSession,
    booked: Sequence[tuple[str, Withdrawal]],
    kind: str,
    legs_of: Callable[[Withdrawal], list[Leg]],
    now: datetime,
    progress: Progress,
) -> None:
    """For each withdrawal its legs, under its reference; the members are locked."""
    for start in range(0, len(booked), AT_ONCE):
        piece = booked[start : start + AT_ONCE]
        for currency in sorted({withdrawal.currency for _, withdrawal in piece}):
            movements = {
                reference: legs_of(withdrawal) for reference, withdrawal in piece if withdrawal.currency == currency
            }
            posted = await ledger.post_each(
                session,
                merchant_id=piece[0][1].merchant_id,
                kind=kind,
                occurred_at=now,
                currency=currency,
                movements=movements,
            )
            if again := movements.keys() - posted.keys():
                raise RuntimeError(f"{kind} of {sorted(again)} was posted before, though its status says otherwise")
        progress(start + len(piece), len(booked))


def _between(source: str, target: str) -> Callable[[Withdrawal], list[Leg]]:
    """From one bucket of its member to another. What a payee bears of the fee leaves the member's balance with the
    payout, and goes to an account of its own."""

    def legs(withdrawal: Withdrawal) -> list[Leg]:
        member, amount = withdrawal.member_id, withdrawal.amount_minor
        fee = withdrawal.withheld_minor if target == "paid" else 0
        return [
            Leg(member_account(source), member, -amount),
            Leg(member_account(target), member, amount - fee),
            Leg("payout_fees", None, fee),
        ]

    return legs


def _of_the_merchant(withdrawal: Withdrawal) -> list[Leg]:
    """The fee that the merchant bears, of what is left to it of its orders."""
    fee = withdrawal.borne_minor
    return [Leg("merchant_proceeds", None, -fee), Leg("payout_fees", None, fee)]
