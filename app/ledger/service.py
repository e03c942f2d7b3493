from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import driver
from app.db.types import Id
from app.kit import ids
from app.ledger.rules import Leg as Leg
from app.ledger.rules import Posting as Posting
from app.ledger.rules import merged
from app.models import LedgerAccount
from app.models.ledger import MEMBER_KINDS

ACC, MBR, MCH = Id("acc"), Id("mbr"), Id("mch")
Owner = tuple[str, str | None]

# In the given order. `IS NOT DISTINCT FROM` would do for both sorts of owners, but no index answers it: each order
# would read all accounts of its merchant.
_OPEN_ACCOUNTS = text("""
    INSERT INTO ledger_accounts (merchant_id, id, kind, member_id, currency, balance_minor)
    SELECT :merchant_id, wanted.id, wanted.kind, wanted.member_id, :currency,
           CASE WHEN wanted.member_id IS NOT NULL THEN 0 END
    FROM unnest(:ids, CAST(:kinds AS text[]), :members) WITH ORDINALITY AS wanted (id, kind, member_id, place)
    ORDER BY wanted.place
    ON CONFLICT DO NOTHING
""").bindparams(
    bindparam("merchant_id", type_=MCH), bindparam("ids", type_=ARRAY(ACC)), bindparam("members", type_=ARRAY(MBR))
)

# One account stands for its member: whoever has that has the member's others, too. Members come in one order; the
# merchant's own are not locked, every order of a merchant touches those. Nobody is locked where somebody has no
# accounts yet: those are opened before any lock is taken.
_LOCK_MEMBERS = (
    text("""
    SELECT member_id FROM ledger_accounts
    WHERE merchant_id = :merchant_id AND currency = :currency AND kind = 'member_held' AND member_id = ANY (:members)
      AND CAST(:count AS bigint) = (
          SELECT count(*) FROM ledger_accounts WHERE merchant_id = :merchant_id AND currency = :currency
          AND kind = 'member_held' AND member_id = ANY (:members))
    ORDER BY member_id FOR NO KEY UPDATE
""")
    .bindparams(bindparam("merchant_id", type_=MCH), bindparam("members", type_=ARRAY(MBR)))
    .columns(LedgerAccount.member_id)
)

_TRY_MEMBERS = (
    text("""
    SELECT member_id FROM ledger_accounts
    WHERE merchant_id = :merchant_id AND currency = :currency AND kind = 'member_held' AND member_id = ANY (:members)
    ORDER BY member_id FOR NO KEY UPDATE SKIP LOCKED
""")
    .bindparams(bindparam("merchant_id", type_=MCH), bindparam("members", type_=ARRAY(MBR)))
    .columns(LedgerAccount.member_id)
)

# Transactions and all their legs at once, with the accounts of their orders, behind the lock of all members: as
# `_LOCK_MEMBERS` has it, and only where no account is missing, else nothing is written. Keys are checked, and balances
# moved, when all of it is there. A leg's account is looked up by its owner, however many legs there are.
_POST = """
    WITH legs AS MATERIALIZED (
        SELECT leg.place, leg.transaction_id, leg.amount_minor,
               coalesce(leg.account_id, members.id, merchants.id) AS account_id
        FROM unnest($3::uuid[], $4::uuid[], $5::text[], $6::uuid[], $7::bigint[]) WITH ORDINALITY
             AS leg (transaction_id, account_id, kind, member_id, amount_minor, place)
        LEFT JOIN ledger_accounts members
            ON members.merchant_id = $1 AND members.currency = $2 AND members.kind = leg.kind
            AND members.member_id = leg.member_id
        LEFT JOIN ledger_accounts merchants
            ON merchants.merchant_id = $1 AND merchants.currency = $2 AND merchants.kind = leg.kind
            AND merchants.member_id IS NULL AND merchants.order_id IS NULL
            AND leg.member_id IS NULL AND leg.account_id IS NULL),
    locked AS MATERIALIZED (
        SELECT member_id FROM ledger_accounts
        WHERE merchant_id = $1 AND currency = $2 AND kind = 'member_held' AND member_id = ANY ($8::uuid[])
          AND NOT EXISTS (SELECT FROM legs WHERE account_id IS NULL)
        ORDER BY member_id FOR NO KEY UPDATE),
    ready AS MATERIALIZED (
        SELECT 1 WHERE (SELECT count(*) FROM locked) = cardinality($8::uuid[])
            AND NOT EXISTS (SELECT FROM legs WHERE account_id IS NULL)),
    orders AS (
        INSERT INTO ledger_accounts (merchant_id, id, kind, order_id, currency, balance_minor)
        SELECT $1, wanted.id, 'order_clearing', wanted.id, $2, 0 FROM ready, unnest($9::uuid[]) AS wanted (id)
        ON CONFLICT DO NOTHING),
    opened AS (
        INSERT INTO ledger_transactions (merchant_id, id, kind, reference, occurred_at)
        SELECT $1, wanted.id, wanted.kind, wanted.reference, $13::timestamptz
        FROM ready, unnest($10::uuid[], $11::text[], $12::text[]) WITH ORDINALITY AS wanted (id, kind, reference, place)
        ORDER BY wanted.place ON CONFLICT DO NOTHING RETURNING id, kind, reference),
    added AS (
        INSERT INTO ledger_entries (merchant_id, transaction_id, account_id, amount_minor, currency)
        SELECT $1, legs.transaction_id, legs.account_id, legs.amount_minor, $2
        FROM legs JOIN opened ON opened.id = legs.transaction_id ORDER BY legs.place)
    SELECT id, kind, reference FROM opened UNION ALL SELECT NULL, NULL, NULL WHERE NOT EXISTS (SELECT FROM ready)
"""


async def post(
    session: AsyncSession,
    *,
    merchant_id: str,
    kind: str,
    reference: str,
    occurred_at: datetime,
    currency: str,
    legs: Sequence[Leg],
) -> str | None:
    """Move money once: the transaction's id, or None where `kind` and `reference` were posted before.

    Legs of one account are added up. All accounts of the members involved stay locked until the end of the database
    transaction, so a use case that posts twice for the same members cannot cross with another one.
    """
    one = [Posting(kind, reference, legs)]
    posted = await post_all(session, merchant_id=merchant_id, occurred_at=occurred_at, currency=currency, postings=one)
    return posted.get((kind, reference))


async def post_each(
    session: AsyncSession,
    *,
    merchant_id: str,
    kind: str,
    occurred_at: datetime,
    currency: str,
    movements: Mapping[str, Sequence[Leg]],
) -> dict[str, str]:
    """As `post`, for many movements by reference: the new transactions' ids."""
    postings = [Posting(kind, reference, movements[reference]) for reference in sorted(movements)]
    posted = await post_all(
        session, merchant_id=merchant_id, occurred_at=occurred_at, currency=currency, postings=postings
    )
    return {reference: transaction_id for (_, reference), transaction_id in posted.items()}


async def post_all(
    session: AsyncSession, *, merchant_id: str, occurred_at: datetime, currency: str, postings: Sequence[Posting]
) -> dict[tuple[str, str], str]:
    """As `post`, for many at once, in as many statements as one takes: new transactions' ids by kind and reference.

    What passes an account of an order in all of them and comes to nothing leaves the account's row alone.
    """
    made = [(ids.new("txn"), posting, merged(posting.legs)) for posting in postings]
    values = _values(merchant_id, currency, occurred_at, made)
    posted = await driver.fetch(session, _POST, *values)
    if _lacks_accounts(posted):
        owners = {(leg.account, leg.member_id) for _, _, legs in made for leg in legs if leg.order_id is None}
        await _open(session, merchant_id, currency, owners)
        posted = await driver.fetch(session, _POST, *values)
        if _lacks_accounts(posted):
            raise RuntimeError(f"accounts of {merchant_id} in {currency} that were opened just now cannot be seen")
    return {(row["kind"], row["reference"]): ids.encode("txn", row["id"]) for row in posted}


def _values(
    merchant_id: str, currency: str, occurred_at: datetime, made: Sequence[tuple[str, Posting, Sequence[Leg]]]
) -> list[Any]:
    """Of `_POST`. An order's account has the order's number."""
    legs = [(transaction_id, leg) for transaction_id, _, legs in made for leg in legs]
    orders = {leg.order_id: ids.decode("ord", leg.order_id) for _, leg in legs if leg.order_id is not None}
    members = {leg.member_id: ids.decode("mbr", leg.member_id) for _, leg in legs if leg.member_id is not None}
    transactions = {transaction_id: ids.decode("txn", transaction_id) for transaction_id, _, _ in made}
    return [
        ids.decode("mch", merchant_id),
        currency,
        [transactions[transaction_id] for transaction_id, _ in legs],
        [None if leg.order_id is None else orders[leg.order_id] for _, leg in legs],
        [leg.account for _, leg in legs],
        [None if leg.member_id is None else members[leg.member_id] for _, leg in legs],
        [leg.amount_minor for _, leg in legs],
        list(members.values()),
        [orders[order_id] for order_id in sorted(orders)],
        list(transactions.values()),
        [posting.kind for _, posting, _ in made],
        [posting.reference for _, posting, _ in made],
        occurred_at,
    ]


def _lacks_accounts(posted: Sequence[Any]) -> bool:
    return bool(posted) and posted[0]["id"] is None


async def lock(session: AsyncSession, *, merchant_id: str, currency: str, member_ids: Iterable[str]) -> None:
    """Take the accounts of all these members until the transaction ends.

    Whoever reads a member's commissions to move them takes this lock before it reads, so that no two decide upon the
    same row; and whoever posts more than once for different members takes it for all of them first.
    """
    members = sorted(set(member_ids))
    if not members:
        return
    wanted = {"merchant_id": merchant_id, "currency": currency, "members": members, "count": len(members)}
    if not (await session.scalars(_LOCK_MEMBERS, wanted)).all():
        await _open(session, merchant_id, currency, {(MEMBER_KINDS[0], member) for member in members})
        await session.execute(_LOCK_MEMBERS, wanted)


async def try_lock(
    session: AsyncSession, *, merchant_id: str, currency: str, member_ids: Iterable[str]
) -> frozenset[str]:
    """As `lock`, leaving out members that somebody is busy with, or that have no accounts; who was locked."""
    wanted = {"merchant_id": merchant_id, "currency": currency, "members": sorted(set(member_ids))}
    return frozenset(await session.scalars(_TRY_MEMBERS, wanted))


async def _open(session: AsyncSession, merchant_id: str, currency: str, owners: Collection[Owner]) -> None:
    """What is missing of a member's accounts, all together and in one order, and of the merchant's. Before any is
    locked: two first postings at once wait for each other instead of dying of each other."""
    members = sorted({member for _, member in owners if member})
    wanted: list[Owner] = [(kind, member) for member in members for kind in MEMBER_KINDS]
    wanted += sorted((kind, None) for kind, member in owners if member is None)
    values = {
        "merchant_id": merchant_id,
        "currency": currency,
        "ids": [ids.new("acc") for _ in wanted],
        "kinds": [kind for kind, _ in wanted],
        "members": [member for _, member in wanted],
    }
    await session.execute(_OPEN_ACCOUNTS, values)
