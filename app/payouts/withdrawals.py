"""Withdrawals: a member asks for all that is payable to them now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.db.rows import get_row
from app.kit.errors import Conflict, not_found
from app.models import Member, PayeeAccount, Payout, PayoutBatch, Withdrawal
from app.payouts import funding, moves, planning, queries, rules, terms
from app.payouts.locks import lock_batches
from app.payouts.moves import Wish
from app.payouts.rules import Reason, Standing, Terms


@dataclass(frozen=True, slots=True)
class Quote:
    """What would come of asking now: all that is payable, less what is withheld; `obstacle` is why it would not."""

    standing: Standing
    terms: Terms
    obstacle: Reason | None

    @property
    def withheld_minor(self) -> int:
        return self.terms.withheld_of(max(self.standing.payable_minor, 0)) if self.standing.payable_minor > 0 else 0

    @property
    def net_minor(self) -> int:
        return max(self.standing.payable_minor - self.withheld_minor, 0)


async def quote(session: AsyncSession, *, merchant_id: str, member_id: str, currency: str = "CNY") -> Quote:
    """What a member is to be shown before they ask."""
    await get_row(session, Member, merchant_id=merchant_id, row_id=member_id, noun="member")
    agreed = await terms.get(session, merchant_id=merchant_id)
    (member,) = await planning.standings(session, merchant_id=merchant_id, currency=currency, member_ids=[member_id])
    return Quote(member.standing, agreed, rules.obstacle(member.standing, minimum_minor=agreed.minimum_minor))


async def request(
    session: AsyncSession,
    *,
    merchant_id: str,
    member_id: str,
    payee_account_id: str | None = None,
    currency: str = "CNY",
    fee_minor: int | None = None,
    now: datetime,
) -> Withdrawal:
    """Takes every commission that is payable at this moment, to the given payee account or the one chosen last.

    `fee_minor` is what the member was shown to be withheld: Conflict `fee_changed` where it is another sum by now.
    Conflict with `withdrawal_open`, `nothing_payable`, `below_minimum`, `payee_account_missing` or `ledger_disagrees`.
    """
    await get_row(session, Member, merchant_id=merchant_id, row_id=member_id, noun="member")
    account_id = await _payee_account(session, merchant_id, member_id, payee_account_id)
    wishes = [Wish(member_id, account_id)] if account_id is not None else []
    agreed = await terms.get(session, merchant_id=merchant_id)
    taken = await moves.take(session, merchant_id=merchant_id, wishes=wishes, currency=currency, terms=agreed, now=now)
    if not taken:
        raise await _refusal(session, merchant_id, member_id, currency)
    rules.require_agreed_fee(agreed_minor=fee_minor, withheld_minor=taken[0].withheld_minor)
    return taken[0]


async def cancel(
    session: AsyncSession, *, merchant_id: str, withdrawal_id: str, member_id: str | None = None, now: datetime
) -> Withdrawal:
    """Until the file is out; cancelled again it stays cancelled. A payout prepared for it leaves its batch.

    With `member_id` only this member's.
    """
    await lock_batches(session, merchant_id)
    withdrawal = await queries.get_withdrawal(session, merchant_id=merchant_id, withdrawal_id=withdrawal_id)
    if member_id is not None and withdrawal.member_id != member_id:
        raise not_found("withdrawal")
    await session.refresh(withdrawal, with_for_update=True)
    if withdrawal.status == "cancelled":
        return withdrawal
    if withdrawal.status not in rules.WITHDRAWAL_MAY_BE_CANCELLED:
        raise Conflict(f"withdrawal_{withdrawal.status}", f"The withdrawal is {withdrawal.status}: too late to cancel.")
    left = await _leave_batch(session, withdrawal)
    await moves.give_back(session, merchant_id=merchant_id, withdrawals=[withdrawal], status="cancelled", now=now)
    await funding.release(session, left, now=now)
    return withdrawal


async def _payee_account(
    session: AsyncSession, merchant_id: str, member_id: str, payee_account_id: str | None
) -> str | None:
    if payee_account_id is None:
        latest = await queries.latest_payee_account(session, merchant_id=merchant_id, member_id=member_id)
        return latest.id if latest else None
    account = await get_row(
        session, PayeeAccount, merchant_id=merchant_id, row_id=payee_account_id, noun="payee_account"
    )
    if account.member_id != member_id:
        raise not_found("payee_account")
    return account.id


async def _refusal(session: AsyncSession, merchant_id: str, member_id: str, currency: str) -> Conflict:
    found = await quote(session, merchant_id=merchant_id, member_id=member_id, currency=currency)
    if found.obstacle is None:
        return Conflict("withdrawal_overtaken", "The balance changed in this very moment; ask again.")
    return rules.refusal(found.obstacle, found.standing, minimum_minor=found.terms.minimum_minor)


async def _leave_batch(session: AsyncSession, withdrawal: Withdrawal) -> list[Payout]:
    """The payout that is cancelled with it, where there is one."""
    payout = await queries.live_payout(session, merchant_id=withdrawal.merchant_id, withdrawal_id=withdrawal.id)
    if payout is None:
        return []
    batch: PayoutBatch = await queries.hold_batch(session, merchant_id=withdrawal.merchant_id, batch_id=payout.batch_id)
    payout.status = "cancelled"
    batch.payout_count -= 1
    batch.total_minor -= payout.amount_minor
    if batch.payout_count == 0:
        batch.status = "cancelled"
    await session.flush()
    return [payout]
