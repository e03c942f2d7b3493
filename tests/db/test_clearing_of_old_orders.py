"""Orders that were there before clearing accounts get theirs, and lose them again."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine

from app import embedded
from app.db.migrations import downgrade, upgrade
from app.ledger.verify import verify
from tests.factories.servers import chosen

BEFORE, SCRIPT = "0011", Path(__file__).with_name("before_clearing.sql")
NUMBERED = "CREATE FUNCTION pg_temp.uuid(n int) RETURNS uuid LANGUAGE sql AS $$ SELECT lpad(n::text, 32, '0')::uuid $$;"


@pytest.fixture(scope="module")
def owner_url() -> Iterator[str]:
    """Servers of this test's own: the schema of all others stays as it is."""
    with (
        tempfile.TemporaryDirectory(prefix="ivt-", ignore_cleanup_errors=True) as folder,
        embedded.start(Path(folder) / "data", durable=False, binaries=chosen()) as stack,
    ):
        yield stack.owner_url


@pytest.fixture
async def books(owner_url: str) -> AsyncIterator[AsyncConnection]:
    """As the owner, whom no policy binds, with the shop of then brought to the schema of now."""
    await asyncio.to_thread(upgrade, owner_url, BEFORE)
    engine = create_async_engine(owner_url.replace("postgresql://", "postgresql+asyncpg://"))
    async with engine.connect() as connection:
        raw = await connection.get_raw_connection()
        assert raw.driver_connection
        await raw.driver_connection.execute(NUMBERED + SCRIPT.read_text("utf-8").replace("uuid(", "pg_temp.uuid("))
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
