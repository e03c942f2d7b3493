"""The end of the hold: what was held becomes payable, a whole batch in one statement."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import BigInteger, DateTime, Select, bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app.commissions.books import announce
from app.db.types import Id
from app.kit import ids
from app.ledger import service as ledger
from app.models import Commission, CommissionHold
from app.webhooks import queries as webhooks

EVENT = "commission.payable"
# Each row of a batch that somebody is told of is an event of its own, which takes longer than the row. Else legs are
# what takes longest, two a member in each batch, against the seconds for which its members' accounts are held.
TOLD, UNTOLD = 500, 100_000

_TURN = "hashtextextended('settle:' || :merchant_id, 0)"
# What is due is a sliver of its tables, in the order of an index; the planner, who takes ids for random, would rather
# read all that was ever earned.
_TRY_TURN = text(f"""
    SELECT pg_try_advisory_xact_lock({_TURN}), set_config('enable_hashjoin', 'off', true),
           set_config('enable_mergejoin', 'off', true), set_config('enable_seqscan', 'off', true),
           set_config('jit', 'off', true), set_config('work_mem', '64MB', true)
""")
_WAIT_TURN = text(f"SELECT pg_advisory_xact_lock({_TURN})")

# What is still held, now that its members' accounts are locked: rows, one movement, and a leg for each account. Members
# are looked up in a hash: once a plan is kept for any parameters, `= ANY` would compare each row with all of them.
_RELEASE = (
    text("""
    WITH due AS MATERIALIZED (
        SELECT hold_until, commission_id FROM commission_holds
        WHERE merchant_id = :merchant_id AND hold_until <= :now AND currency = :currency
              AND (member_id IN (SELECT unnest(:members))) IS TRUE
        ORDER BY hold_until, commission_id LIMIT :most),
    ended AS (
        DELETE FROM commission_holds h USING due
        WHERE h.merchant_id = :merchant_id AND h.hold_until = due.hold_until
              AND h.commission_id = due.commission_id),
    released AS (
        UPDATE commissions c SET status = 'payable' FROM due
        WHERE c.merchant_id = :merchant_id AND c.id = due.commission_id AND c.status = 'held'
        RETURNING c.id, c.member_id, c.amount_minor),
    moved AS (SELECT member_id, sum(amount_minor)::bigint AS amount_minor FROM released GROUP BY member_id),
    opened AS (
        INSERT INTO ledger_transactions (merchant_id, id, kind, reference, occurred_at)
        SELECT :merchant_id, :transaction_id, 'commission_released', :reference, :now
        WHERE EXISTS (SELECT FROM moved) RETURNING id),
    legs AS (
        INSERT INTO ledger_entries (merchant_id, transaction_id, account_id, amount_minor, currency)
        SELECT :merchant_id, opened.id, a.id, moved.amount_minor * CASE a.kind WHEN 'member_held' THEN -1 ELSE 1 END,
               :currency
        FROM opened CROSS JOIN moved JOIN ledger_accounts a ON a.member_id = moved.member_id
        WHERE a.merchant_id = :merchant_id AND a.currency = :currency AND a.kind IN ('member_held', 'member_payable'))
    SELECT count(*) AS number, CASE WHEN :is_told THEN array_agg(id) END AS ids FROM released
""")
    .bindparams(
        bindparam("merchant_id", type_=Id("mch")),
        bindparam("transaction_id", type_=Id("txn")),
        bindparam("members", type_=ARRAY(Id("mbr"))),
        bindparam("now", type_=DateTime(timezone=True)),
    )
    .columns(number=BigInteger, ids=ARRAY(Id("com")))
)


async def release_due(session: AsyncSession, *, merchant_id: str, now: datetime, limit: int = UNTOLD) -> int:
    """Make payable what was held long enough by this merchant's clock, `limit` rows at most; how many there were.

    One settlement of a merchant runs at a time, none where another has begun. Members that are being paid or refunded
    in this moment are left for the next run.
    """
    if not await session.scalar(_TRY_TURN, {"merchant_id": merchant_id}):
        return 0
    is_told = await webhooks.is_awaited(session, merchant_id=merchant_id, type_=EVENT)
    most = min(limit, TOLD) if is_told else limit
    picked = (await session.execute(_owners(merchant_id, now, limit=most))).all()
    released = 0
    for currency in sorted({row.currency for row in picked}):
        members = [row.member_id for row in picked if row.currency == currency]
        free = await ledger.try_lock(session, merchant_id=merchant_id, currency=currency, member_ids=members)
        released += await _release(
            session, merchant_id, sorted(free), now, currency=currency, most=most, is_told=is_told
        )
    return released


async def release_all_due(session: AsyncSession, *, merchant_id: str, now: datetime) -> int:
    """All of it in this transaction, waiting for another settlement and for members that somebody is busy with."""
    await session.execute(_WAIT_TURN, {"merchant_id": merchant_id})
    owners = (await session.execute(_owners(merchant_id, now))).all()
    for currency in sorted({row.currency for row in owners}):
        # All members before the first batch: batches alone would lock them in no order.
        members = [row.member_id for row in owners if row.currency == currency]
        await ledger.lock(session, merchant_id=merchant_id, currency=currency, member_ids=members)
    released = 0
    while count := await release_due(session, merchant_id=merchant_id, now=now):
        released += count
    return released


async def release_next(session: AsyncSession, *, merchant_id: str, now: datetime) -> int:
    """One batch, as `release_due`, after the settlement that another one has begun."""
    await session.execute(_WAIT_TURN, {"merchant_id": merchant_id})
    return await release_due(session, merchant_id=merchant_id, now=now)


def _due(merchant_id: str, now: datetime) -> Select[tuple[str, str]]:
    return select(CommissionHold.member_id, CommissionHold.currency).where(
        CommissionHold.merchant_id == merchant_id, CommissionHold.hold_until <= now
    )


def _owners(merchant_id: str, now: datetime, *, limit: int | None = None) -> Select[tuple[str, str]]:
    """Whose are those that are due first."""
    in_order = _due(merchant_id, now).order_by(CommissionHold.hold_until, CommissionHold.commission_id)
    oldest = in_order.limit(limit).subquery()
    return select(oldest.c.member_id, oldest.c.currency).distinct()


async def _release(
    session: AsyncSession,
    merchant_id: str,
    members: Sequence[str],
    now: datetime,
    *,
    currency: str,
    most: int,
    is_told: bool,
) -> int:
    transaction_id = ids.new("txn")
    values = {"merchant_id": merchant_id, "members": members, "now": now, "currency": currency, "most": most}
    # A commission is released once, by its row, so the movement may be named by itself.
    own = {"transaction_id": transaction_id, "reference": transaction_id, "is_told": is_told}
    released = (await session.execute(_RELEASE, values | own)).one()
    if released.ids:
        await _announce(session, merchant_id, released.ids, now)
    return int(released.number)


async def _announce(session: AsyncSession, merchant_id: str, commission_ids: Sequence[str], now: datetime) -> None:
    rows = select(Commission).where(Commission.merchant_id == merchant_id, Commission.id.in_(commission_ids))
    fresh = rows.order_by(Commission.id).execution_options(populate_existing=True)
    await announce(session, EVENT, (await session.scalars(fresh)).all(), now=now)
