from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.types import Id
from app.kit import ids
from app.ledger.rules import Leg as Leg
from app.ledger.rules import merged
from app.models import LedgerAccount, LedgerTransaction
from app.models.ledger import MEMBER_KINDS, MERCHANT_KINDS

ACC, MBR, MCH, TXN = Id("acc"), Id("mbr"), Id("mch"), Id("txn")

# In the given order. `IS NOT DISTINCT FROM` would do for both sorts of owners, but no index answers it: each order
# would read all accounts of its merchant.
_OPEN_ACCOUNTS = text("""
    INSERT INTO ledger_accounts (merchant_id, id, kind, member_id, currency, balance_minor)
    SELECT :merchant_id, wanted.id, wanted.kind, wanted.member_id, :currency,
           CASE WHEN wanted.member_id IS NOT NULL THEN 0 END
    FROM unnest(:ids, CAST(:kinds AS text[]), :members) WITH ORDINALITY AS wanted (id, kind, member_id, place)
    WHERE NOT EXISTS (SELECT 1 FROM ledger_accounts a
                      WHERE a.merchant_id = :merchant_id AND a.kind = wanted.kind AND a.currency = :currency
                        AND a.member_id = wanted.member_id)
      AND (wanted.member_id IS NOT NULL OR NOT EXISTS (
           SELECT 1 FROM ledger_accounts a
           WHERE a.merchant_id = :merchant_id AND a.kind = ANY (CAST(:kinds AS text[])) AND a.kind = wanted.kind
             AND a.currency = :currency AND a.member_id IS NULL))
    ORDER BY wanted.place
    ON CONFLICT DO NOTHING
""").bindparams(
    bindparam("merchant_id", type_=MCH), bindparam("ids", type_=ARRAY(ACC)), bindparam("members", type_=ARRAY(MBR))
)

# Members' accounts are locked in one order, the merchant's own are not: every order of a merchant touches those.
_LOCK_ACCOUNTS = (
    text("""
    WITH mine AS MATERIALIZED (
        SELECT id, kind, member_id FROM ledger_accounts
        WHERE merchant_id = :merchant_id AND currency = :currency
          AND kind = ANY (CAST(:member_kinds AS text[])) AND member_id = ANY (:members)
        ORDER BY member_id, kind COLLATE "C" FOR NO KEY UPDATE)
    SELECT id, kind, member_id FROM mine
    UNION ALL
    SELECT id, kind, member_id FROM ledger_accounts
    WHERE merchant_id = :merchant_id AND currency = :currency AND kind = ANY (CAST(:merchant_kinds AS text[]))
          AND member_id IS NULL
""")
    .bindparams(bindparam("merchant_id", type_=MCH), bindparam("members", type_=ARRAY(MBR)))
    .columns(LedgerAccount.id, LedgerAccount.kind, LedgerAccount.member_id)
)

# The first account in that order stands for its member: whoever has it gets the member's others without a wait.
_TRY_MEMBERS = (
    text("""
    SELECT member_id FROM ledger_accounts
    WHERE merchant_id = :merchant_id AND currency = :currency AND kind = 'member_held' AND member_id = ANY (:members)
    ORDER BY member_id FOR NO KEY UPDATE SKIP LOCKED
""")
    .bindparams(bindparam("merchant_id", type_=MCH), bindparam("members", type_=ARRAY(MBR)))
    .columns(LedgerAccount.member_id)
)

_OPEN_TRANSACTIONS = (
    text("""
    INSERT INTO ledger_transactions (merchant_id, id, kind, reference, occurred_at)
    SELECT :merchant_id, wanted.id, :kind, wanted.reference, CAST(:occurred_at AS timestamptz)
    FROM unnest(:ids, CAST(:references AS text[])) WITH ORDINALITY AS wanted (id, reference, place)
    ORDER BY wanted.place ON CONFLICT DO NOTHING RETURNING id, reference
""")
    .bindparams(bindparam("merchant_id", type_=MCH), bindparam("ids", type_=ARRAY(TXN)))
    .columns(LedgerTransaction.id, LedgerTransaction.reference)
)

_ADD_ENTRIES = text("""
    INSERT INTO ledger_entries (merchant_id, transaction_id, account_id, amount_minor, currency)
    SELECT :merchant_id, leg.transaction_id, leg.account_id, leg.amount_minor, :currency
    FROM unnest(:transactions, :accounts, CAST(:amounts AS bigint[])) AS leg (transaction_id, account_id, amount_minor)
""").bindparams(
    bindparam("merchant_id", type_=MCH),
    bindparam("transactions", type_=ARRAY(TXN)),
    bindparam("accounts", type_=ARRAY(ACC)),
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
    posted = await post_each(
        session,
        merchant_id=merchant_id,
        kind=kind,
        occurred_at=occurred_at,
        currency=currency,
        movements={reference: legs},
    )
    return posted.get(reference)


async def post_each(
    session: AsyncSession,
    *,
    merchant_id: str,
    kind: str,
    occurred_at: datetime,
    currency: str,
    movements: Mapping[str, Sequence[Leg]],
) -> dict[str, str]:
    """As `post`, for many movements by reference, in as many statements as one takes: the new transactions' ids."""
    wanted = {"merchant_id": merchant_id, "kind": kind, "occurred_at": occurred_at}
    opened = await session.execute(
        _OPEN_TRANSACTIONS,
        {**wanted, "ids": [ids.new("txn") for _ in movements], "references": sorted(movements)},
    )
    posted = {row.reference: row.id for row in opened}
    legs = [(posted[reference], leg) for reference in sorted(posted) for leg in merged(movements[reference])]
    if legs:
        accounts = await _accounts(session, merchant_id, currency, [leg for _, leg in legs])
        entries = {
            "transactions": [transaction_id for transaction_id, _ in legs],
            "accounts": [accounts[leg.account, leg.member_id] for _, leg in legs],
            "amounts": [leg.amount_minor for _, leg in legs],
        }
        await session.execute(_ADD_ENTRIES, {"merchant_id": merchant_id, "currency": currency, **entries})
    return posted


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
    free = frozenset(await session.scalars(_TRY_MEMBERS, wanted))
    if free:
        await lock(session, merchant_id=merchant_id, currency=currency, member_ids=free)
    return free


async def _accounts(
    session: AsyncSession, merchant_id: str, currency: str, legs: Sequence[Leg]
) -> dict[tuple[str, str | None], str]:
    """Ids by kind and member. Missing accounts are made, all of a member together and in one order: two first
    postings at once wait for each other instead of dying of each other."""
    members = sorted({leg.member_id for leg in legs if leg.member_id})
    owners: list[tuple[str | None, str]] = [(member, kind) for member in members for kind in MEMBER_KINDS]
    owners += sorted({(None, leg.account) for leg in legs if leg.member_id is None}, key=lambda owner: owner[1])
    scope = {"merchant_id": merchant_id, "currency": currency, "members": members}
    await session.execute(
        _OPEN_ACCOUNTS,
        {
            **scope,
            "ids": [ids.new("acc") for _ in owners],
            "kinds": [kind for _, kind in owners],
            "members": [member for member, _ in owners],
        },
    )
    kinds = {"member_kinds": list(MEMBER_KINDS), "merchant_kinds": list(MERCHANT_KINDS)}
    found = await session.execute(_LOCK_ACCOUNTS, {**scope, **kinds})
    return {(row.kind, row.member_id): row.id for row in found}
