"""Books of before: orders get their clearing accounts, paid fees their legs, and lose them again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine

from app import embedded
from app.db.migrations import downgrade, upgrade
from app.kit import ids
from app.ledger.verify import verify

BEFORE_FEES = "0017"
PAID = """
    INSERT INTO payee_accounts (merchant_id, id, member_id, kind, account, account_index, real_name)
        VALUES (uuid(1), uuid(101), uuid(11), 'alipay', '', '', '');
    INSERT INTO payout_batches (merchant_id, id, number, status, payout_count, total_minor, currency, built_by)
        VALUES (uuid(1), uuid(102), 'PB1', 'settled', 1, 1000, 'CNY', uuid(9));
    INSERT INTO withdrawals (merchant_id, id, member_id, payee_account_id, amount_minor, fee_minor, currency, status)
        VALUES (uuid(1), uuid(103), uuid(11), uuid(101), 1000, 20, 'CNY', 'paid');
    INSERT INTO payouts (merchant_id, id, batch_id, withdrawal_id, member_id, payee_account_id, amount_minor, currency,
                         status, paid_at)
        VALUES (uuid(1), uuid(104), uuid(102), uuid(103), uuid(11), uuid(101), 1000, 'CNY', 'paid', '2026-01-20Z')"""
BEFORE, SCRIPT = "0011", Path(__file__).with_name("before_clearing.sql")
NUMBERED = """CREATE OR REPLACE FUNCTION pg_temp.uuid(n int) RETURNS uuid LANGUAGE sql AS $$
    SELECT lpad(n::text, 32, '0')::uuid $$;"""


async def run(connection: AsyncConnection, script: str) -> None:
    raw = await connection.get_raw_connection()
    assert raw.driver_connection
    await raw.driver_connection.execute(NUMBERED + script.replace("uuid(", "pg_temp.uuid("))


@pytest.fixture
def owner_url(stack: embedded.Stack) -> Iterator[str]:
    """A database of this test's own: the schema of all others stays as it is."""
    stack.create_database("clearing")
    yield stack.url("owner", "clearing")
    stack.drop_database("clearing")


@pytest.fixture
async def books(owner_url: str) -> AsyncIterator[AsyncConnection]:
    """As the owner, whom no policy binds, with the shop of then brought to the schema of now."""
    await asyncio.to_thread(upgrade, owner_url, BEFORE)
    engine = create_async_engine(owner_url.replace("postgresql://", "postgresql+asyncpg://"))
    async with engine.connect() as connection:
        await run(connection, SCRIPT.read_text("utf-8"))
    await engine.dispose()
    await asyncio.to_thread(upgrade, owner_url)
    async with engine.connect() as connection:
        yield connection
    await engine.dispose()


async def legs(connection: AsyncConnection, kind: str) -> list[Row[tuple[str, int]]]:
    """What passed the accounts of this kind."""
    statement = """SELECT t.kind, e.amount_minor FROM ledger_accounts a
                   JOIN ledger_entries e ON e.account_id = a.id JOIN ledger_transactions t ON t.id = e.transaction_id
                   WHERE a.kind = :kind ORDER BY a.id, e.amount_minor DESC"""
    return [*await connection.execute(text(statement), {"kind": kind})]


async def test_old_orders_are_cleared_and_told_whose_friend_bought(books: AsyncConnection, owner_url: str) -> None:
    report = await verify(AsyncSession(books), merchant_id=None)
    assert (report.differences, report.orders) == ([], 2)
    assert await legs(books, "order_clearing") == [
        ("order_paid", 5_900),
        ("proceeds_reversed", 700),
        ("commission_cleared", 300),
        ("order_refunded", -1_000),
        ("commission_cleared", -1_770),
        ("order_proceeds", -4_130),
        ("order_paid", 100),
        ("order_proceeds", -100),
    ]
    assert sum(amount for _, amount in await legs(books, "merchant_commission")) == 0
    inviters = await books.execute(text("SELECT right(inviter_id::text, 2) FROM orders ORDER BY external_order_id"))
    assert list(inviters.scalars()) == ["21", "22"]
    references = await books.scalar(
        text("SELECT count(*) FROM ledger_transactions WHERE reference ~ '^(ord|rfd)_.{26}$'")
    )
    assert references == 8
    await books.rollback()
    await asyncio.to_thread(downgrade, owner_url, BEFORE)
    assert await legs(books, "merchant_commission") == [("commission_reversed", 300), ("commission_earned", -1_770)]
    await books.rollback()
    await asyncio.to_thread(upgrade, owner_url)
    assert (await verify(AsyncSession(books), merchant_id=None)).differences == []


async def test_fees_that_merchants_bore_are_booked(books: AsyncConnection, owner_url: str) -> None:
    await books.rollback()
    await asyncio.to_thread(downgrade, owner_url, BEFORE_FEES)
    await run(books, PAID)
    await books.commit()
    await asyncio.to_thread(upgrade, owner_url)
    assert await legs(books, "payout_fees") == [("payout_fee_borne", 20)]
    assert ("payout_fee_borne", -20) in await legs(books, "merchant_proceeds")
    assert (await verify(AsyncSession(books), merchant_id=None)).differences == []
    reference = await books.scalar(text("SELECT reference FROM ledger_transactions WHERE kind = 'payout_fee_borne'"))
    assert reference == ids.encode("pay", UUID(int=0x104))
    await books.rollback()
    await asyncio.to_thread(downgrade, owner_url, BEFORE_FEES)
    assert await legs(books, "payout_fees") == []


async def test_money_that_bought_nothing_is_asked_back_by_the_key_it_had(
    books: AsyncConnection, owner_url: str
) -> None:
    late = """INSERT INTO checkouts (merchant_id, id, purpose, status, campaign_id, participant_id, member_id, title,
            quantity, amount_minor, currency, provider, expires_at, paid_at, due_at)
        SELECT merchant_id, 'facade00-0000-7000-8000-000000000000', 'order', 'refund_due', campaign_id, id, member_id,
            'x', 1, 5900, 'CNY', 'sandbox', now(), now(), now() FROM participants LIMIT 1"""
    owed = text(
        "SELECT id = checkout_id, amount_minor, payback, due_at IS NOT NULL FROM refunds WHERE payback IS NOT NULL"
    )
    due = text("SELECT count(due_at) FROM checkouts")
    await asyncio.to_thread(downgrade, owner_url, "0019")
    await books.execute(text(late))
    await books.commit()
    await asyncio.to_thread(upgrade, owner_url)
    assert [tuple(row) for row in await books.execute(owed)] == [(True, 5_900, "due", True)]
    assert await books.scalar(due) == 0
    await books.rollback()
    await asyncio.to_thread(downgrade, owner_url, "0019")
    assert await books.scalar(due) == 1
