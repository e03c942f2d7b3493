"""Settlement: held commissions of many orders become payable, beside a plain insert of as many rows.

A settlement changes rows that are there, and each change is a new version of the row, entered in every index: it is
measured against inserting the same rows, made up by `generate_series`, under the same indexes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from statistics import median

import asyncpg

from app.cli.output import progress
from app.commissions.service import release_due
from app.kit import clock, ids
from benchmarks.forest import Forest, plant
from proofs.frame.command import Entry
from proofs.frame.report import Figure
from proofs.frame.stage import Stage

# In all rounds together; each order has two levels.
ORDERS, QUICK_ORDERS = 1_000_000, 60_000
PEOPLE, QUICK_PEOPLE = 10_000, 2_000
ROUNDS = 4
LEVELS = 2
MOST_OVER_AN_INSERT = 1.3
PATIENCE = 3_600
EARNED_MINOR = 590

_PEOPLE = """
    CREATE TABLE settle_people AS
    SELECT row_number() OVER (ORDER BY number) - 1 AS place, id, member_id FROM participants WHERE merchant_id = $1
"""
_ACCOUNTS = """
    INSERT INTO ledger_accounts (merchant_id, id, kind, member_id, currency, balance_minor)
    SELECT $1, md5(member_id || kind)::uuid, kind, member_id, 'CNY', 0
    FROM settle_people, unnest(ARRAY['member_pending', 'member_held', 'member_payable', 'member_in_payout',
                                     'member_paid']) AS kind
"""
_ORDERS = """
    INSERT INTO orders (merchant_id, id, campaign_id, participant_id, member_id, external_order_id, content_hash,
                        amount_minor, currency, paid_at, rule_version, rule, explanation)
    SELECT $1, md5($3 || n)::uuid, $2, p.id, p.member_id, $3 || n, '\\x00', 5900, 'CNY', now(), 1, '{}', '[]'
    FROM generate_series(1, $4) n JOIN settle_people p ON p.place = n % (SELECT count(*) FROM settle_people)
"""
_LINES = """
    INSERT INTO order_lines (merchant_id, id, order_id, external_line_id, amount_minor)
    SELECT $1, md5($2 || n)::uuid, md5($2 || n)::uuid, '1', 5900 FROM generate_series(1, $3) n
"""
# Anybody's: the promoters of a level are spread over all people.
_COMMISSIONS = """
    INSERT INTO {table} (merchant_id, id, campaign_id, order_id, line_id, level, beneficiary_id, member_id,
                         amount_minor, currency, base_minor, rate_bps, rule_version, status, hold_until)
    SELECT $1, md5($3 || n || '/' || level)::uuid, $2, md5($3 || n)::uuid, md5($3 || n)::uuid, level, p.id,
           p.member_id, $5, 'CNY', 5900, 1000, 1, $6, $7
    FROM generate_series(1, $4) n CROSS JOIN generate_series(1, 2) level
         JOIN settle_people p ON p.place = (n * 7919 + level) % (SELECT count(*) FROM settle_people)
"""
_OPENED = """
    WITH mine AS (
        INSERT INTO ledger_accounts (merchant_id, id, kind, currency)
        VALUES ($1, md5($2)::uuid, 'merchant_commission', 'CNY') ON CONFLICT DO NOTHING)
    INSERT INTO ledger_transactions (merchant_id, id, kind, reference, occurred_at)
    SELECT $1, md5($2)::uuid, 'settle_opened', $2, now()
"""
_EARNED = """
    INSERT INTO ledger_entries (merchant_id, transaction_id, account_id, amount_minor, currency)
    SELECT $1, md5($2)::uuid, a.id, sum(c.amount_minor), 'CNY'
    FROM commissions c
         JOIN ledger_accounts a ON a.merchant_id = $1 AND a.member_id = c.member_id AND a.kind = 'member_held'
    WHERE c.merchant_id = $1 AND c.status = 'held' AND c.hold_until = $3 GROUP BY a.id
    UNION ALL
    SELECT $1, md5($2)::uuid, (SELECT id FROM ledger_accounts
                               WHERE merchant_id = $1 AND kind = 'merchant_commission' AND currency = 'CNY'),
           -sum(amount_minor), 'CNY'
    FROM commissions WHERE merchant_id = $1 AND status = 'held' AND hold_until = $3
"""
_LIKE = """
    CREATE TABLE settle_{table} (LIKE {table} INCLUDING ALL);
"""
_LEGS = """
    INSERT INTO settle_ledger_entries (merchant_id, transaction_id, account_id, amount_minor, currency)
    SELECT $1, md5($2)::uuid, md5(n::text)::uuid, $4, 'CNY' FROM generate_series(1, $3) n
"""


async def run(stage: Stage, quick: bool) -> Sequence[Figure]:
    orders = (QUICK_ORDERS if quick else ORDERS) // ROUNDS
    forest = await plant(stage, QUICK_PEOPLE if quick else PEOPLE)
    owner = await asyncpg.connect(stage.stack.owner_url)
    try:
        field = _Field(owner, forest, orders)
        await field.lay_out()
        settled, inserted = [], []
        with progress() as bar:
            for number in bar.track(range(ROUNDS), description="rounds"):
                end = await field.sow(number)
                settled.append(await _settle(stage, forest, end, expected=orders * LEVELS))
                inserted.append(await field.insert(number, end))
    finally:
        await owner.close()
    return [_figure(orders, settled, inserted)]


BENCH = Entry("settle", run, seconds=PATIENCE)


class _Field:
    """Of one merchant: orders with what they earned, and tables beside the real ones."""

    def __init__(self, owner: asyncpg.Connection, forest: Forest, orders: int) -> None:
        self.owner, self.orders = owner, orders
        self.merchant_id = ids.decode("mch", forest.merchant_id)
        self.campaign_id = ids.decode("cmp", forest.campaign_id)

    async def lay_out(self) -> None:
        await self.owner.execute(_PEOPLE, self.merchant_id)
        await self.owner.execute("ANALYZE settle_people")
        await self.owner.execute(_ACCOUNTS, self.merchant_id)
        for table in ("commissions", "ledger_entries"):
            await self.owner.execute(_LIKE.format(table=table))

    async def sow(self, number: int) -> datetime:
        """The end of these orders' hold."""
        mark, end = f"round-{number}-", clock.utcnow() + timedelta(days=number)
        await self.owner.execute(_ORDERS, self.merchant_id, self.campaign_id, mark, self.orders)
        await self.owner.execute(_LINES, self.merchant_id, mark, self.orders)
        await self._commissions("commissions", mark, "held", end)
        await self.owner.execute("ANALYZE commissions, ledger_accounts")
        await self.owner.execute(_OPENED, self.merchant_id, mark)
        await self.owner.execute(_EARNED, self.merchant_id, mark, end)
        for table in ("orders", "order_lines", "commissions", "ledger_accounts", "ledger_entries"):
            await self.owner.execute(f"VACUUM (ANALYZE, PARALLEL 0) {table}")
        return end

    async def insert(self, number: int, end: datetime) -> float:
        """Seconds for as many rows and as many legs as the settlement of this round made."""
        mark = f"round-{number}-"
        legs = await self.owner.fetchval(
            "SELECT count(*) FROM ledger_entries e JOIN ledger_transactions t ON t.merchant_id = e.merchant_id"
            " AND t.id = e.transaction_id WHERE t.merchant_id = $1 AND t.kind = 'commission_released'"
            " AND t.occurred_at = $2",
            self.merchant_id,
            end,
        )
        began = time.perf_counter()
        async with self.owner.transaction():
            await self._commissions("settle_commissions", mark, "payable", end)
            await self.owner.execute(_LEGS, self.merchant_id, mark, legs, EARNED_MINOR)
        return time.perf_counter() - began

    async def _commissions(self, table: str, mark: str, status: str, end: datetime) -> None:
        statement = _COMMISSIONS.format(table=table)
        await self.owner.execute(
            statement, self.merchant_id, self.campaign_id, mark, self.orders, EARNED_MINOR, status, end
        )


async def _settle(stage: Stage, forest: Forest, end: datetime, *, expected: int) -> float:
    """Seconds, batch by batch as the worker does it, each in a transaction of its own."""
    began, released, count = time.perf_counter(), 0, 1
    while count:
        async with stage.resources.db.tenant(forest.merchant_id) as session:
            count = await release_due(session, merchant_id=forest.merchant_id, now=end)
        released += count
    seconds = time.perf_counter() - began
    if released != expected:
        raise AssertionError(f"{released} of {expected} commissions were released")
    return seconds


def _figure(orders: int, settled: Sequence[float], inserted: Sequence[float]) -> Figure:
    value, ceiling = (orders / median(seconds) for seconds in (settled, inserted))
    ratios = [mine / plain for mine, plain in zip(settled, inserted, strict=True)]
    ratio, rounds = median(ratios), ", ".join(f"{each:.2f}" for each in ratios)
    return Figure(
        "settle",
        value,
        "orders/s",
        ceiling,
        ratio,
        f"≤ {MOST_OVER_AN_INSERT} × the time of an insert",
        ratio <= MOST_OVER_AN_INSERT,
        [f"{orders * len(settled)} orders of {LEVELS} levels; ratios by round: {rounds}"],
    )
