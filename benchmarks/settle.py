"""Settlement: held commissions of many orders become payable, beside a plain insert of as many rows.

Measured against inserting the same rows, made up by `generate_series`, under the same indexes: what it would cost to
write them anew. What is settled has foreign keys, triggers and policies besides; the tables of the insert have none.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from statistics import median

import asyncpg
from rich.progress import Progress

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
PIECE = 25_000

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
    SELECT $1, md5(n::text)::uuid, $2, p.id, p.member_id, n, '\\x00', 5900, 'CNY', now(), 1, '{}', '[]'
    FROM generate_series($3::int, $4) n JOIN settle_people p ON p.place = n % (SELECT count(*) FROM settle_people)
"""
_LINES = """
    INSERT INTO order_lines (merchant_id, id, order_id, external_line_id, amount_minor)
    SELECT $1, md5(n::text)::uuid, md5(n::text)::uuid, '1', 5900 FROM generate_series($2::int, $3) n
"""
# Anybody's: the promoters of a level are spread over all people. Orders come, and their holds end, one after the other.
_COMMISSIONS = """
    INSERT INTO {table} (merchant_id, id, campaign_id, order_id, line_id, level, beneficiary_id, member_id,
                         amount_minor, currency, base_minor, rate_bps, rule_version, status, hold_until)
    SELECT $1, md5(n || '/' || level)::uuid, $2, md5(n::text)::uuid, md5(n::text)::uuid, level, p.id,
           p.member_id, $5, 'CNY', 5900, 1000, 1, $6, $7::timestamptz + n * interval '1 millisecond'
    FROM generate_series($3::int, $4) n CROSS JOIN generate_series(1, 2) level
         JOIN settle_people p ON p.place = (n * 7919::bigint + level) % (SELECT count(*) FROM settle_people)
"""
_OPENED = """
    WITH mine AS (
        INSERT INTO ledger_accounts (merchant_id, id, kind, currency)
        VALUES ($1, md5('settle')::uuid, 'merchant_commission', 'CNY'))
    INSERT INTO ledger_transactions (merchant_id, id, kind, reference, occurred_at)
    SELECT $1, md5('settle')::uuid, 'settle_opened', 'settle', now()
"""
_EARNED = """
    WITH earned AS (
        SELECT member_id, sum(amount_minor) AS minor FROM commissions WHERE merchant_id = $1 GROUP BY member_id)
    INSERT INTO ledger_entries (merchant_id, transaction_id, account_id, amount_minor, currency)
    SELECT $1, md5('settle')::uuid, a.id, earned.minor, 'CNY'
    FROM earned JOIN ledger_accounts a USING (member_id) WHERE a.merchant_id = $1 AND a.kind = 'member_held'
    UNION ALL SELECT $1, md5('settle')::uuid, md5('settle')::uuid, -sum(minor), 'CNY' FROM earned
"""
_LEGS = """
    INSERT INTO settle_ledger_entries (merchant_id, transaction_id, account_id, amount_minor, currency)
    SELECT $1, md5($2)::uuid, md5(n::text)::uuid, $4, 'CNY' FROM generate_series(1, $3::int) n
"""
_RELEASED_LEGS = """
    SELECT count(*) FROM ledger_entries e
    JOIN ledger_transactions t ON t.merchant_id = e.merchant_id AND t.id = e.transaction_id
    WHERE t.merchant_id = $1 AND t.kind = 'commission_released' AND t.occurred_at = $2
"""
# By their definitions: what is put back is what was there.
_KEYS = """
    SELECT conrelid::regclass::text AS table, conname AS name, pg_get_constraintdef(oid) AS definition
    FROM pg_constraint WHERE contype = 'f' AND conrelid = ANY ($1::text[]::regclass[])
"""
_INDEXES = """
    SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition
    FROM pg_index WHERE NOT indisprimary AND indrelid = ANY ($1::text[]::regclass[])
"""
_SOWN = ("orders", "order_lines", "commissions")


async def run(stage: Stage, quick: bool) -> Sequence[Figure]:
    orders = (QUICK_ORDERS if quick else ORDERS) // ROUNDS
    forest = await plant(stage, QUICK_PEOPLE if quick else PEOPLE)
    owner = await asyncpg.connect(stage.stack.owner_url)
    try:
        field = _Field(owner, forest, orders)
        settled, inserted = [], []
        with progress() as bar:
            await field.sow(bar)
            for number in bar.track(range(ROUNDS), description="rounds"):
                settled.append(await _settle(stage, forest, field.end(number), expected=orders * LEVELS))
                inserted.append(await field.insert(number))
    finally:
        await owner.close()
    return [_figure(orders, settled, inserted)]


BENCH = Entry("settle", run, seconds=PATIENCE)


class _Field:
    """Of one merchant: orders with what they earned, and tables beside the real ones."""

    def __init__(self, owner: asyncpg.Connection, forest: Forest, orders: int) -> None:
        """`orders` a round."""
        self.owner, self.orders, self.began = owner, orders, clock.utcnow()
        self.merchant_id = ids.decode("mch", forest.merchant_id)
        self.campaign_id = ids.decode("cmp", forest.campaign_id)

    def end(self, number: int) -> datetime:
        """When the hold of a round's last order ends."""
        return self.began + timedelta(milliseconds=(number + 1) * self.orders)

    async def sow(self, bar: Progress) -> None:
        """The orders of all rounds, once, and what they earned."""
        await self.owner.execute(_PEOPLE, self.merchant_id)
        await self.owner.execute("ANALYZE settle_people")
        await self.owner.execute(_ACCOUNTS, self.merchant_id)
        for table in ("commissions", "ledger_entries"):
            await self.owner.execute(f"CREATE TABLE settle_{table} (LIKE {table} INCLUDING ALL)")
        total = self.orders * ROUNDS
        async with _unchecked(self.owner):
            task = bar.add_task("orders", total=total)
            for first in range(1, total + 1, PIECE):
                last = min(total, first + PIECE - 1)
                await self.owner.execute(_ORDERS, self.merchant_id, self.campaign_id, first, last)
                await self.owner.execute(_LINES, self.merchant_id, first, last)
                await self._commissions("commissions", first, last, "held")
                bar.advance(task, last - first + 1)
        await self.owner.execute(_OPENED, self.merchant_id)
        await self.owner.execute(_EARNED, self.merchant_id)
        for table in (*_SOWN, "commission_holds", "ledger_accounts", "ledger_entries"):
            await self.owner.execute(f"VACUUM (ANALYZE, PARALLEL 0) {table}")

    async def insert(self, number: int) -> float:
        """Seconds for as many rows and as many legs as the settlement of this round made."""
        legs = await self.owner.fetchval(_RELEASED_LEGS, self.merchant_id, self.end(number))
        first = number * self.orders + 1
        began = time.perf_counter()
        async with self.owner.transaction():
            await self._commissions("settle_commissions", first, first + self.orders - 1, "payable")
            await self.owner.execute(_LEGS, self.merchant_id, str(number), legs, EARNED_MINOR)
        return time.perf_counter() - began

    async def _commissions(self, table: str, first: int, last: int, status: str) -> None:
        statement = _COMMISSIONS.format(table=table)
        await self.owner.execute(
            statement, self.merchant_id, self.campaign_id, first, last, EARNED_MINOR, status, self.began
        )


@asynccontextmanager
async def _unchecked(owner: asyncpg.Connection) -> AsyncIterator[None]:
    """Sown in a third of the time: keys and indexes are there again afterwards, before anything is measured."""
    keys, indexes = await owner.fetch(_KEYS, _SOWN), await owner.fetch(_INDEXES, _SOWN)
    for key in keys:
        await owner.execute(f"ALTER TABLE {key['table']} DROP CONSTRAINT {key['name']}")
    for index in indexes:
        await owner.execute(f"DROP INDEX {index['name']}")
    yield
    for index in indexes:
        await owner.execute(index["definition"])
    for key in keys:
        await owner.execute(f"ALTER TABLE {key['table']} ADD CONSTRAINT {key['name']} {key['definition']} NOT VALID")


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
