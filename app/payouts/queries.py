from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

from sqlalchemy import exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.pages import Page, PageQuery, fetch_page
from app.db.rows import get_row, one_of
from app.models import Commission, PayeeAccount, Payout, PayoutBatch, Withdrawal
from app.payouts.result_rules import SETTLED

NOT_LIVE = ("failed", "cancelled")
LIVE = Payout.status.not_in(NOT_LIVE)


async def payee_accounts_page(
    session: AsyncSession, *, merchant_id: str, member_id: str, query: PageQuery
) -> Page[PayeeAccount]:
    mine = select(PayeeAccount).where(PayeeAccount.merchant_id == merchant_id, PayeeAccount.member_id == member_id)
    return await fetch_page(session, mine, query)


async def latest_payee_account(session: AsyncSession, *, merchant_id: str, member_id: str) -> PayeeAccount | None:
    mine = select(PayeeAccount).where(PayeeAccount.merchant_id == merchant_id, PayeeAccount.member_id == member_id)
    newest = mine.order_by(PayeeAccount.chosen_at.desc(), PayeeAccount.id.desc()).limit(1)
    found: PayeeAccount | None = await session.scalar(newest)
    return found


async def is_in_use(session: AsyncSession, *, merchant_id: str, payee_account_id: str) -> bool:
    """Whether a payout to the account may still be carried out."""
    pending = exists().where(
        Payout.merchant_id == merchant_id,
        Payout.payee_account_id == payee_account_id,
        Payout.status.not_in(SETTLED),
    )
    return bool(await session.scalar(select(pending)))


async def withdrawals_page(session: AsyncSession, *, merchant_id: str, query: PageQuery) -> Page[Withdrawal]:
    return await fetch_page(session, select(Withdrawal).where(Withdrawal.merchant_id == merchant_id), query)


async def get_withdrawal(session: AsyncSession, *, merchant_id: str, withdrawal_id: str) -> Withdrawal:
    return await get_row(session, Withdrawal, merchant_id=merchant_id, row_id=withdrawal_id, noun="withdrawal")


async def batches_page(session: AsyncSession, *, merchant_id: str, query: PageQuery) -> Page[PayoutBatch]:
    return await fetch_page(session, select(PayoutBatch).where(PayoutBatch.merchant_id == merchant_id), query)


async def get_batch(session: AsyncSession, *, merchant_id: str, batch_id: str) -> PayoutBatch:
    return await get_row(session, PayoutBatch, merchant_id=merchant_id, row_id=batch_id, noun="payout_batch")


async def hold_batch(session: AsyncSession, *, merchant_id: str, batch_id: str) -> PayoutBatch:
    """The batch, locked until the end of the transaction: each of its steps is taken once."""
    batch = await get_batch(session, merchant_id=merchant_id, batch_id=batch_id)
    await session.refresh(batch, with_for_update=True)
    return batch


async def payout_details_page(
    session: AsyncSession, *, merchant_id: str, query: PageQuery
) -> Page[tuple[Payout, list[str]]]:
    """Each with the ids of its commissions."""
    found = await fetch_page(session, select(Payout).where(Payout.merchant_id == merchant_id), query)
    withdrawals = {payout.withdrawal_id for payout in found.rows if payout.status not in NOT_LIVE}
    held = await commission_ids(session, merchant_id=merchant_id, withdrawal_ids=withdrawals)
    return Page([(payout, held.get(payout.withdrawal_id, [])) for payout in found.rows], found.next_cursor)


async def payout_detail(session: AsyncSession, *, merchant_id: str, payout_id: str) -> tuple[Payout, list[str]]:
    """With the ids of its commissions."""
    payout = await get_row(session, Payout, merchant_id=merchant_id, row_id=payout_id, noun="payout")
    live = [] if payout.status in NOT_LIVE else [payout.withdrawal_id]
    held = await commission_ids(session, merchant_id=merchant_id, withdrawal_ids=live)
    return payout, held.get(payout.withdrawal_id, [])


async def payouts_of_batch(session: AsyncSession, *, merchant_id: str, batch_id: str) -> Sequence[Payout]:
    statement = select(Payout).where(Payout.merchant_id == merchant_id, Payout.batch_id == batch_id)
    return (await session.scalars(statement.order_by(Payout.id))).all()


async def payouts_with_withdrawals(
    session: AsyncSession, *, merchant_id: str, batch_id: str
) -> list[tuple[Payout, Withdrawal]]:
    """Those of a batch that are neither failed nor cancelled."""
    statement = (
        select(Payout, Withdrawal)
        .join(Withdrawal, (Withdrawal.merchant_id == merchant_id) & (Withdrawal.id == Payout.withdrawal_id))
        .where(Payout.merchant_id == merchant_id, Payout.batch_id == batch_id, LIVE)
    )
    return [(payout, withdrawal) for payout, withdrawal in (await session.execute(statement.order_by(Payout.id))).all()]


async def costs(session: AsyncSession, *, merchant_id: str, batch_id: str) -> dict[str, int]:
    """What each of a batch takes, by payout: what goes out, and the fee of it; without failed and cancelled ones."""
    statement = (
        select(Payout.id, Payout.amount_minor + Withdrawal.fee_minor)
        .join(Withdrawal, (Withdrawal.merchant_id == merchant_id) & (Withdrawal.id == Payout.withdrawal_id))
        .where(Payout.merchant_id == merchant_id, Payout.batch_id == batch_id, LIVE)
    )
    return dict((await session.execute(statement)).tuples().all())


async def live_payout(session: AsyncSession, *, merchant_id: str, withdrawal_id: str) -> Payout | None:
    statement = select(Payout).where(Payout.merchant_id == merchant_id, Payout.withdrawal_id == withdrawal_id, LIVE)
    found: Payout | None = await session.scalar(statement)
    return found


async def paid_by_hand(session: AsyncSession, *, merchant_id: str, external_ids: Collection[str]) -> dict[str, str]:
    """By external id: a payout without a rail that is recorded as paid by it."""
    statement = select(Payout.external_id, Payout.id).where(
        Payout.merchant_id == merchant_id,
        Payout.rail.is_(None),
        Payout.status == "paid",
        one_of(Payout.external_id, external_ids),
    )
    found = await session.execute(statement) if external_ids else ()
    return {external_id: payout_id for external_id, payout_id in found if external_id is not None}


async def count_by_status(session: AsyncSession, *, merchant_id: str, batch_id: str) -> dict[str, int]:
    statement = select(Payout.status, func.count()).where(
        Payout.merchant_id == merchant_id, Payout.batch_id == batch_id
    )
    found = await session.execute(statement.group_by(Payout.status))
    return dict(found.tuples().all())


async def commission_ids(
    session: AsyncSession, *, merchant_id: str, withdrawal_ids: Collection[str]
) -> dict[str, list[str]]:
    """By withdrawal. What a failed or cancelled one held is free again, and listed by the next one."""
    statement = select(Commission.withdrawal_id, Commission.id).where(
        Commission.merchant_id == merchant_id, one_of(Commission.withdrawal_id, withdrawal_ids)
    )
    found: dict[str, list[str]] = defaultdict(list)
    for withdrawal_id, commission_id in (await session.execute(statement.order_by(Commission.id))).all():
        found[withdrawal_id].append(commission_id)
    return found
