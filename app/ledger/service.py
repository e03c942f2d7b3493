from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.types import Id
from app.kit import ids
from app.ledger.rules import Leg as Leg
from app.ledger.rules import Posting as Posting
from app.ledger.rules import merged
from app.models import LedgerAccount, LedgerTransaction
from app.models.ledger import MEMBER_KINDS

ACC, MBR, MCH, ORD, TXN = Id("acc"), Id("mbr"), Id("mch"), Id("ord"), Id("txn")
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
_LOCK_ACCOUNTS = (
    text("""
    WITH locked AS MATERIALIZED (
        SELECT member_id FROM ledger_accounts
        WHERE merchant_id = :merchant_id AND currency = :currency AND kind = 'member_held'
          AND member_id = ANY (:members)
          AND CAST(:count AS bigint) = (
              SELECT count(*) FROM ledger_accounts WHERE merchant_id = :merchant_id AND currency = :currency
              AND kind = 'member_held' AND member_id = ANY (:members))
        ORDER BY member_id FOR NO KEY UPDATE)
    SELECT id, kind, member_id FROM ledger_accounts
    WHERE merchant_id = :merchant_id AND currency = :currency AND kind = ANY (CAST(:member_kinds AS text[]))
          AND member_id = ANY (:members) AND (SELECT count(*) FROM locked) > 0
    UNION ALL
    SELECT id, kind, member_id FROM ledger_accounts
    WHERE merchant_id = :merchant_id AND currency = :currency AND kind = ANY (CAST(:merchant_kinds AS text[]))
          AND member_id IS NULL AND order_id IS NULL
""")
    .bindparams(bindparam("merchant_id", type_=MCH), bindparam("members", type_=ARRAY(MBR)))
    .columns(LedgerAccount.id, LedgerAccount.kind, LedgerAccount.member_id)
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

# Transactions and all their legs at once, with the accounts of their orders. Keys are checked, and balances moved, when
# all of it is there.
_WRITE = (
    text("""
    WITH accounts AS (
        INSERT INTO ledger_accounts (merchant_id, id, kind, order_id, currency, balance_minor)
        SELECT :merchant_id, of.id, 'order_clearing', of.id, :currency, 0 FROM unnest(:orders) AS of (id)
        ON CONFLICT DO NOTHING),
    opened AS (
        INSERT INTO ledger_transactions (merchant_id, id, kind, reference, occurred_at)
        SELECT :merchant_id, wanted.id, wanted.kind, wanted.reference, CAST(:occurred_at AS timestamptz)
        FROM unnest(:ids, CAST(:kinds AS text[]), CAST(:references AS text[])) WITH ORDINALITY
             AS wanted (id, kind, reference, place)
        ORDER BY wanted.place ON CONFLICT DO NOTHING RETURNING id, kind, reference),
    added AS (
        INSERT INTO ledger_entries (merchant_id, transaction_id, account_id, amount_minor, currency)
        SELECT :merchant_id, leg.transaction_id, leg.account_id, leg.amount_minor, :currency
        FROM unnest(:transactions, :accounts, CAST(:amounts AS bigint[])) WITH ORDINALITY
             AS leg (transaction_id, account_id, amount_minor, place)
        JOIN opened ON opened.id = leg.transaction_id
        ORDER BY leg.place)
    SELECT id, kind, reference FROM opened
""")
    .bindparams(
        bindparam("merchant_id", type_=MCH),
        bindparam("orders", type_=ARRAY(ORD)),
        bindparam("ids", type_=ARRAY(TXN)),
        bindparam("transactions", type_=ARRAY(TXN)),
        bindparam("accounts", type_=ARRAY(ACC)),
    )
    .columns(LedgerTransaction.id, LedgerTransaction.kind, LedgerTransaction.reference)
)


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
    legs = [(transaction_id, leg) for transaction_id, _, legs in made for leg in legs]
    accounts = await _accounts(session, merchant_id, currency, [leg for _, leg in legs])
    values = {
        "merchant_id": merchant_id,
        "currency": currency,
        "occurred_at": occurred_at,
        "orders": sorted({leg.order_id for _, leg in legs if leg.order_id}),
        "ids": [transaction_id for transaction_id, _, _ in made],
        "kinds": [posting.kind for _, posting, _ in made],
        "references": [posting.reference for _, posting, _ in made],
        "transactions": [transaction_id for transaction_id, _ in legs],
        "accounts": [_account_of(leg, accounts) for _, leg in legs],
        "amounts": [leg.amount_minor for _, leg in legs],
    }
    opened = await session.execute(_WRITE, values)
    return {(row.kind, row.reference): row.id for row in opened}


def _account_of(leg: Leg, accounts: Mapping[Owner, str]) -> str:
    """An order's account has the order's number."""
    if leg.order_id is not None:
        return ids.encode("acc", ids.decode("ord", leg.order_id))
    return accounts[leg.account, leg.member_id]


async def lock(session: AsyncSession, *, merchant_id: str, currency: str, member_ids: Iterable[str]) -> None:
    """Take the accounts of all these members until the transaction ends.

    Whoever reads a member's commissions to move them takes this lock before it reads, so that no two decide upon the
    same row; and whoever posts more than once for different members takes it for all of them first.
    """
    await _accounts(session, merchant_id, currency, [Leg(MEMBER_KINDS[0], member_id, 0) for member_id in member_ids])


async def try_lock(
    session: AsyncSession, *, merchant_id: str, currency: str, member_ids: Iterable[str]
) -> frozenset[str]:
    """As `lock`, leaving out members that somebody is busy with, or that have no accounts; who was locked."""
    wanted = {"merchant_id": merchant_id, "currency": currency, "members": sorted(set(member_ids))}
    return frozenset(await session.scalars(_TRY_MEMBERS, wanted))


async def _accounts(session: AsyncSession, merchant_id: str, currency: str, legs: Sequence[Leg]) -> dict[Owner, str]:
    """Ids by kind and member; orders' accounts are not among them. Missing accounts are made, all of a member together
    and in one order, and before any is locked: two first postings at once wait for each other instead of dying of each
    other."""
    owners: set[Owner] = {(leg.account, leg.member_id) for leg in legs if leg.order_id is None}
    if not owners:
        return {}
    scope = {"merchant_id": merchant_id, "currency": currency}
    found = await _locked(session, scope, owners)
    if owners - found.keys():
        await _open(session, scope, owners)
        found = await _locked(session, scope, owners)
    return found


async def _locked(session: AsyncSession, scope: Mapping[str, str], owners: Iterable[Owner]) -> dict[Owner, str]:
    members = sorted({member for _, member in owners if member})
    wanted = {
        **scope,
        "members": members,
        "count": len(members),
        "member_kinds": sorted({kind for kind, member in owners if member}),
        "merchant_kinds": sorted({kind for kind, member in owners if member is None}),
    }
    rows = await session.execute(_LOCK_ACCOUNTS, wanted)
    return {(row.kind, row.member_id): row.id for row in rows}


async def _open(session: AsyncSession, scope: Mapping[str, str], owners: Iterable[Owner]) -> None:
    members = sorted({member for _, member in owners if member})
    wanted: list[Owner] = [(kind, member) for member in members for kind in MEMBER_KINDS]
    wanted += sorted((kind, None) for kind, member in owners if member is None)
    values = {
        **scope,
        "ids": [ids.new("acc") for _ in wanted],
        "kinds": [kind for kind, _ in wanted],
        "members": [member for _, member in wanted],
    }
    await session.execute(_OPEN_ACCOUNTS, values)
