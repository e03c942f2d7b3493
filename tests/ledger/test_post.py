from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asyncpg import CheckViolationError
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit import clock, ids
from app.ledger import queries, service
from app.ledger.service import Leg
from app.ledger.verify import verify
from app.models import LedgerAccount, LedgerEntry
from app.resources import Resources
from tests.factories import MerchantFixture
from tests.factories.money import earned, move, sum_of_entries


async def test_money_moves_between_the_buckets_of_a_member(tenant: AsyncSession, merchant: MerchantFixture) -> None:
    member, own = ids.new("mbr"), merchant.test_id
    await move(tenant, own, *earned(member, 1_770))
    await move(tenant, own, Leg("member_held", member, -1_770), Leg("member_payable", member, 1_770))
    await move(tenant, own, Leg("member_payable", member, -1_000), Leg("member_in_payout", member, 1_000))
    await move(tenant, own, Leg("member_in_payout", member, -600), Leg("member_paid", member, 600))
    found = await queries.balance(tenant, merchant_id=own, member_id=member)
    assert (found.held_minor, found.payable_minor, found.in_payout_minor, found.paid_minor) == (0, 770, 400, 600)
    assert await sum_of_entries(tenant, own, "member_paid") == 600
    assert await sum_of_entries(tenant, own, "merchant_commission") == -1_770


async def test_balance_of_a_stranger_is_zero(tenant: AsyncSession, merchant: MerchantFixture) -> None:
    found = await queries.balance(tenant, merchant_id=merchant.test_id, member_id=ids.new("mbr"))
    assert (found.pending_minor, found.held_minor, found.payable_minor, found.paid_minor) == (0, 0, 0, 0)


async def test_the_same_reference_moves_money_once(tenant: AsyncSession, merchant: MerchantFixture) -> None:
    member = ids.new("mbr")
    await move(tenant, merchant.test_id, *earned(member, 100), reference="ord_1")
    again: dict[str, Any] = {"merchant_id": merchant.test_id, "kind": "test", "reference": "ord_1", "currency": "CNY"}
    assert await service.post(tenant, **again, occurred_at=clock.utcnow(), legs=earned(member, 100)) is None
    assert (await queries.balance(tenant, merchant_id=merchant.test_id, member_id=member)).held_minor == 100


async def test_of_many_movements_each_is_made_once(tenant: AsyncSession, merchant: MerchantFixture) -> None:
    members, own = [ids.new("mbr") for _ in range(3)], merchant.test_id
    await move(tenant, own, *earned(members[1], 20), reference="ord_1")
    posted = await service.post_each(
        tenant,
        merchant_id=own,
        kind="test",
        occurred_at=clock.utcnow(),
        currency="CNY",
        movements={f"ord_{number}": earned(member, 20) for number, member in enumerate(members)},
    )
    assert sorted(posted) == ["ord_0", "ord_2"]
    held = [(await queries.balance(tenant, merchant_id=own, member_id=member)).held_minor for member in members]
    assert held == [20, 20, 20]
    assert (await verify(tenant, merchant_id=own)).transactions == 3


@pytest.mark.parametrize("bucket", ["pending", "held", "in_payout", "paid"])
async def test_only_what_is_payable_can_be_a_debt(tenant: AsyncSession, merchant: MerchantFixture, bucket: str) -> None:
    member, own = ids.new("mbr"), merchant.test_id
    await move(tenant, own, Leg("member_payable", member, -5), Leg("merchant_commission", None, 5))
    with pytest.raises(CheckViolationError, match="only_payable_is_a_debt"):
        await move(tenant, own, Leg(f"member_{bucket}", member, -1), Leg("member_payable", member, 1))


async def test_legs_that_do_not_sum_to_zero_are_refused_by_the_database(
    tenant: AsyncSession, merchant: MerchantFixture
) -> None:
    with pytest.raises(CheckViolationError, match="do not sum to zero"):
        await move(tenant, merchant.test_id, Leg("member_held", ids.new("mbr"), 1))


async def test_a_second_statement_cannot_unbalance_a_transaction(
    tenant: AsyncSession, merchant: MerchantFixture
) -> None:
    member = ids.new("mbr")
    transaction = await move(tenant, merchant.test_id, *earned(member, 100))
    account = await tenant.scalar(text("SELECT id FROM ledger_accounts WHERE kind = 'member_held'"))
    leg = {"merchant_id": merchant.test_id, "transaction_id": transaction, "account_id": ids.encode("acc", account)}
    with pytest.raises(IntegrityError, match="do not sum to zero"):
        await tenant.execute(insert(LedgerEntry).values(**leg, amount_minor=5, currency="CNY"))


async def test_an_account_cannot_open_with_money_in_it(tenant: AsyncSession, merchant: MerchantFixture) -> None:
    forged = {"kind": "member_payable", "member_id": ids.new("mbr"), "currency": "CNY", "balance_minor": 1_000_000}
    with pytest.raises(IntegrityError, match="opens with a balance of zero"):
        await tenant.execute(
            insert(LedgerAccount).values(merchant_id=merchant.test_id, id=ids.new("acc"), **forged),
        )


async def test_an_entry_in_another_currency_than_its_account_is_refused(
    tenant: AsyncSession, merchant: MerchantFixture
) -> None:
    transaction = await move(tenant, merchant.test_id, *earned(ids.new("mbr"), 100))
    mixed = text("""
        INSERT INTO ledger_entries (merchant_id, transaction_id, account_id, amount_minor, currency)
        SELECT merchant_id, transaction_id, account_id, amount_minor, 'USD' FROM ledger_entries
        WHERE merchant_id = :merchant_id AND transaction_id = :transaction_id""")
    keys = {"merchant_id": ids.decode("mch", merchant.test_id), "transaction_id": ids.decode("txn", transaction)}
    with pytest.raises(IntegrityError, match="another currency"):
        await tenant.execute(mixed, keys)


FORBIDDEN = (
    "UPDATE ledger_entries SET amount_minor = 1",
    "DELETE FROM ledger_entries",
    "TRUNCATE ledger_entries",
    "UPDATE ledger_transactions SET reference = 'x'",
    "DELETE FROM ledger_transactions",
    "TRUNCATE ledger_transactions CASCADE",
    "UPDATE ledger_accounts SET balance_minor = 0",
    "DELETE FROM ledger_accounts",
    "TRUNCATE ledger_accounts CASCADE",
    "ALTER TABLE ledger_entries DISABLE TRIGGER ledger_entries_added",
    "DROP TABLE ledger_entries",
)


@pytest.mark.parametrize("role", ["app", "system"])
@pytest.mark.parametrize("statement", FORBIDDEN)
async def test_neither_runtime_role_can_change_what_was_written(
    resources: Resources, merchant: MerchantFixture, role: str, statement: str
) -> None:
    where = resources.db.tenant(merchant.test_id) if role == "app" else resources.db.system()
    with pytest.raises(DBAPIError, match=r"permission denied|must be owner"):
        async with where as session:
            await session.execute(text(statement))


async def test_a_temporary_table_does_not_stand_in_for_the_real_accounts(
    tenant: AsyncSession, merchant: MerchantFixture
) -> None:
    member = ids.new("mbr")
    transaction = await move(tenant, merchant.test_id, *earned(member, 100))
    await tenant.execute(text("CREATE TEMPORARY TABLE ledger_accounts ON COMMIT DROP AS SELECT * FROM ledger_accounts"))
    again = text("""
        INSERT INTO ledger_entries (merchant_id, transaction_id, account_id, amount_minor, currency)
        SELECT merchant_id, transaction_id, account_id, amount_minor, currency FROM ledger_entries
        WHERE transaction_id = :id""")
    await tenant.execute(again, {"id": ids.decode("txn", transaction)})
    real = text("SELECT balance_minor FROM public.ledger_accounts WHERE member_id = :id AND kind = 'member_held'")
    assert await tenant.scalar(real, {"id": ids.decode("mbr", member)}) == 200


async def test_crossing_postings_neither_deadlock_nor_lose_money(
    resources: Resources, merchant: MerchantFixture
) -> None:
    """Every transfer names its members in another order, from many connections at once."""
    members = [ids.new("mbr") for _ in range(4)]

    async def transfer(number: int) -> None:
        here, there = members[number % 4], members[(number + 1 + number // 4 % 3) % 4]
        async with resources.db.tenant(merchant.test_id) as session:
            legs = Leg("member_payable", here, -7), Leg("member_payable", there, 7)
            await move(session, merchant.test_id, *legs)

    await asyncio.gather(*(transfer(number) for number in range(60)))
    async with resources.db.tenant(merchant.test_id) as session:
        found = [await queries.balance(session, merchant_id=merchant.test_id, member_id=member) for member in members]
        kept = text("SELECT sum(amount_minor) FROM ledger_entries e JOIN ledger_accounts a ON a.id = e.account_id "
                    "WHERE a.member_id = :id")  # fmt: skip
        entries = [await session.scalar(kept, {"id": ids.decode("mbr", member)}) for member in members]
    assert [balance.payable_minor for balance in found] == entries
    assert sum(balance.payable_minor for balance in found) == 0


async def test_first_postings_for_one_member_at_once_share_the_accounts(
    resources: Resources, merchant: MerchantFixture
) -> None:
    member = ids.new("mbr")

    async def earn(_: int) -> None:
        async with resources.db.tenant(merchant.test_id) as session:
            await move(session, merchant.test_id, *earned(member, 10))

    await asyncio.gather(*(earn(number) for number in range(20)))
    async with resources.db.tenant(merchant.test_id) as session:
        assert (await queries.balance(session, merchant_id=merchant.test_id, member_id=member)).held_minor == 200


async def test_entries_written_past_the_service_do_not_deadlock_either(
    resources: Resources, merchant: MerchantFixture
) -> None:
    """The trigger's own locks: both transactions hold key-share locks on both accounts when they come to it."""
    members = [ids.new("mbr"), ids.new("mbr")]
    async with resources.db.tenant(merchant.test_id) as session:
        await service.lock(session, merchant_id=merchant.test_id, currency="CNY", member_ids=members)

    async def write(number: int) -> None:
        async with resources.db.tenant(merchant.test_id) as session:
            keys = {"m": ids.decode("mch", merchant.test_id), "t": ids.decode("txn", ids.new("txn")), "r": str(number)}
            await session.execute(
                text("INSERT INTO ledger_transactions (merchant_id, id, kind, reference, occurred_at) "
                     "VALUES (:m, :t, 'test', :r, now())"), keys
            )  # fmt: skip
            direction = "ASC" if number % 2 else "DESC"
            await session.execute(
                text("INSERT INTO ledger_entries (merchant_id, transaction_id, account_id, amount_minor, currency) "
                     "SELECT :m, :t, id, CASE WHEN member_id = :first THEN 1 ELSE -1 END, 'CNY' FROM ledger_accounts "
                     f"WHERE merchant_id = :m AND kind = 'member_payable' ORDER BY id {direction}"),
                {"m": keys["m"], "t": keys["t"], "first": ids.decode("mbr", members[0])},
            )  # fmt: skip

    await asyncio.gather(*(write(number) for number in range(40)))
    async with resources.db.tenant(merchant.test_id) as session:
        found = await queries.balance(session, merchant_id=merchant.test_id, member_id=members[0])
    assert found.payable_minor == 40


async def test_a_balance_moves_within_its_page(resources: Resources) -> None:
    """Where any index reads a balance, or its page is full, all indexes get a new entry each time it moves."""
    async with resources.db.system() as session:
        indexes = text("SELECT indexdef FROM pg_indexes WHERE tablename = 'ledger_accounts'")
        assert [index for index in await session.scalars(indexes) if "balance_minor" in index] == []
        options = text("SELECT reloptions FROM pg_class WHERE oid = 'ledger_accounts'::regclass")
        assert await session.scalar(options) == ["fillfactor=70"]
