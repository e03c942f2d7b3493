"""What is stuck on its way to a payee, or back to a buyer, and since when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.types import Id
from app.kit import ids
from app.payouts.rails.rules import STUCK_AFTER, TOLD_FOR


@dataclass(frozen=True, slots=True)
class Stuck:
    """`waits_for` says who has to do what; `amount_minor` is the money that waits."""

    check: str
    subject_id: str
    since: datetime
    amount_minor: int
    waits_for: str


@dataclass(frozen=True, slots=True)
class Wait:
    """`sql` yields `subject`, `since` and `amount` of what has waited since before `:before`."""

    name: str
    prefix: str
    patience: timedelta
    waits_for: str
    sql: str


def _batches(status: str, since: str) -> str:
    return f"""SELECT id AS subject, {since} AS since, total_minor AS amount FROM payout_batches
        WHERE merchant_id = :merchant_id AND status = '{status}' AND {since} < :before"""  # noqa: S608 - constants


def _carried(status: str, more: str = "true") -> str:
    return f"""SELECT p.id AS subject, p.moved_at AS since, p.amount_minor AS amount FROM payouts p
        JOIN payout_batches b ON b.merchant_id = p.merchant_id AND b.id = p.batch_id
        WHERE p.merchant_id = :merchant_id AND p.rail IS NOT NULL AND p.status = '{status}' AND p.moved_at < :before
            AND {more}"""  # noqa: S608 - constants


# As `rails.rules.is_for_people` says it: nothing is ever sent again for these.
_FOR_PEOPLE = (
    f"(p.external_id IS NOT NULL OR b.sent_at <= :before + interval '1 hour' - interval '{TOLD_FOR.days} days')"
)
_DECIDED = "EXISTS (SELECT 1 FROM payout_decisions d WHERE d.merchant_id = p.merchant_id AND d.payout_id = p.id)"


# As `orders.checkout_rules.is_for_people` says it, an hour being this list's patience.
_REFUND_FOR_PEOPLE = """(r.payback IN ('refused', 'parked')
    OR r.payback = 'unknown' AND r.created_at <= :before + interval '1 hour' - interval '1 day')"""
_REFUND_DECIDED = """EXISTS (SELECT 1 FROM payback_decisions d WHERE d.merchant_id = r.merchant_id
    AND d.refund_id = r.id AND d.confirmed_at IS NULL)"""


def _refunds(more: str) -> str:
    return f"""SELECT r.id AS subject, r.created_at AS since, r.amount_minor AS amount FROM refunds r
        WHERE r.merchant_id = :merchant_id AND r.due_at IS NOT NULL AND r.created_at < :before
            AND {more}"""  # noqa: S608 - constants


_WAITS = (
    Wait(
        "withdrawal in no batch",
        "wdr",
        timedelta(days=3),
        "finance: build a batch",
        """SELECT w.id AS subject, w.created_at AS since, w.amount_minor AS amount FROM withdrawals w
        WHERE w.merchant_id = :merchant_id AND w.status = 'requested' AND w.created_at < :before
            AND NOT EXISTS (SELECT 1 FROM payouts p WHERE p.merchant_id = w.merchant_id AND p.withdrawal_id = w.id
                AND p.status NOT IN ('failed', 'cancelled'))""",
    ),
    Wait(
        "batch above the funds",
        "bat",
        timedelta(),
        "the merchant: top up",
        """SELECT b.id AS subject, b.created_at AS since, b.total_minor AS amount FROM payout_batches b
        JOIN merchants m ON m.id = b.merchant_id AND m.funding = 'prepaid'
        WHERE b.merchant_id = :merchant_id AND b.status = 'built' AND b.created_at < :before AND b.total_minor + (
            SELECT coalesce(sum(w.fee_minor), 0) FROM payouts p
            JOIN withdrawals w ON w.merchant_id = p.merchant_id AND w.id = p.withdrawal_id
            WHERE p.merchant_id = b.merchant_id AND p.batch_id = b.id AND p.status NOT IN ('failed', 'cancelled')) > (
            SELECT coalesce(sum(CASE a.kind WHEN 'merchant_funds' THEN e.amount_minor ELSE -e.amount_minor END), 0)
            FROM ledger_accounts a
            JOIN ledger_entries e ON e.merchant_id = a.merchant_id AND e.account_id = a.id
            WHERE a.merchant_id = b.merchant_id AND a.currency = b.currency
                AND a.kind IN ('merchant_funds', 'platform_fee'))""",
    ),
    Wait("batch not approved", "bat", timedelta(days=1), "another user: approve", _batches("built", "created_at")),
    Wait(
        "batch not exported", "bat", timedelta(days=1), "finance: export or send", _batches("approved", "approved_at")
    ),
    Wait(
        "payout without a result",
        "pay",
        timedelta(days=3),
        "finance: import the results",
        """SELECT p.id AS subject, b.exported_at AS since, p.amount_minor AS amount
        FROM payouts p JOIN payout_batches b ON b.merchant_id = p.merchant_id AND b.id = p.batch_id
        WHERE p.merchant_id = :merchant_id AND p.status IN ('submitting', 'awaiting_payee', 'unknown')
            AND b.exported_at < :before""",
    ),
    Wait(
        "payout that nobody asks after",
        "pay",
        timedelta(minutes=15),
        "operations: is a worker running?",
        """SELECT id AS subject, due_at AS since, amount_minor AS amount FROM payouts
        WHERE merchant_id = :merchant_id AND due_at < :before""",
    ),
    Wait(
        "payout held by a worker that is gone",
        "pay",
        timedelta(minutes=15),
        "operations: is a worker running?",
        """SELECT id AS subject, leased_until AS since, amount_minor AS amount FROM payouts
        WHERE merchant_id = :merchant_id AND leased_until < LEAST(:before, now() - interval '15 minutes')""",
    ),
    Wait(
        "payout not taken by its provider",
        "pay",
        timedelta(hours=1),
        "finance: see its reason; funds, limits, credentials",
        _carried("submitting"),
    ),
    Wait(
        "payout unknown to us",
        "pay",
        STUCK_AFTER,
        "nobody: its provider is asked again; never pay it by hand",
        _carried("unknown", f"NOT {_FOR_PEOPLE}"),
    ),
    Wait(
        "payout that its provider tells nothing of",
        "pay",
        STUCK_AFTER,
        "finance: look its key up in the provider's console, then settle-unknown",
        _carried("unknown", f"{_FOR_PEOPLE} AND NOT {_DECIDED}"),
    ),
    Wait(
        "decision on a payout not confirmed",
        "pay",
        STUCK_AFTER,
        "another user: look at the evidence, then settle-unknown --confirm",
        _carried("unknown", f"{_FOR_PEOPLE} AND {_DECIDED}"),
    ),
    Wait(
        "payee has not confirmed",
        "pay",
        timedelta(hours=24),
        "the payee, or finance: give it up",
        _carried("awaiting_payee"),
    ),
    Wait(
        "batch without progress",
        "bat",
        timedelta(days=2),
        "finance: see its payouts",
        """SELECT b.id AS subject, max(p.moved_at) AS since, b.total_minor AS amount FROM payout_batches b
        JOIN payouts p ON p.merchant_id = b.merchant_id AND p.batch_id = b.id
        WHERE b.merchant_id = :merchant_id AND b.status = 'sent' GROUP BY b.id, b.total_minor
        HAVING max(p.moved_at) < :before""",
    ),
    Wait(
        "failed payout not asked for again",
        "wdr",
        timedelta(days=7),
        "the member: correct the payee account",
        """SELECT w.id AS subject, w.created_at AS since, w.amount_minor AS amount FROM withdrawals w
        WHERE w.merchant_id = :merchant_id AND w.status = 'failed' AND w.created_at < :before
            AND NOT EXISTS (SELECT 1 FROM withdrawals later WHERE later.merchant_id = w.merchant_id
                AND later.member_id = w.member_id AND later.id > w.id)""",
    ),
    Wait(
        "payable, but no payee account",
        "mbr",
        timedelta(days=30),
        "the member: add a payee account",
        """SELECT c.member_id AS subject, min(c.created_at) AS since, sum(c.amount_minor)::bigint AS amount
        FROM commissions c WHERE c.merchant_id = :merchant_id AND c.status = 'payable' AND NOT EXISTS (
            SELECT 1 FROM payee_accounts p WHERE p.merchant_id = c.merchant_id AND p.member_id = c.member_id)
        GROUP BY c.member_id, c.currency HAVING sum(c.amount_minor) > 0 AND min(c.created_at) < :before""",
    ),
    Wait(
        "refund not given back",
        "rfd",
        STUCK_AFTER,
        "finance: funds and credentials at the payment provider, which is asked again; never pay it back by hand",
        _refunds(f"NOT {_REFUND_FOR_PEOPLE}"),
    ),
    Wait(
        "refund that its provider does not carry out",
        "rfd",
        STUCK_AFTER,
        "finance: look it up in the provider's console, then settle-refund",
        _refunds(f"{_REFUND_FOR_PEOPLE} AND NOT {_REFUND_DECIDED}"),
    ),
    Wait(
        "decision on a refund not confirmed",
        "rfd",
        STUCK_AFTER,
        "another user: look at the evidence, then settle-refund --confirm",
        _refunds(f"{_REFUND_FOR_PEOPLE} AND {_REFUND_DECIDED}"),
    ),
    Wait(
        "payment that nobody asks after",
        "ord",
        timedelta(minutes=15),
        "operations: is a worker running?",
        """SELECT id AS subject, due_at AS since, amount_minor AS amount FROM checkouts
        WHERE merchant_id = :merchant_id AND due_at < :before""",
    ),
)


async def examine(session: AsyncSession, *, merchant_id: str, now: datetime) -> list[Stuck]:
    return [stuck for wait in _WAITS for stuck in await _run(session, wait, merchant_id, now)]


async def _run(session: AsyncSession, wait: Wait, merchant_id: str, now: datetime) -> list[Stuck]:
    statement = text(f"{wait.sql} ORDER BY since").bindparams(bindparam("merchant_id", type_=Id("mch")))
    rows = await session.execute(statement, {"merchant_id": merchant_id, "before": now - wait.patience})
    return [
        Stuck(wait.name, ids.encode(wait.prefix, row.subject), row.since, row.amount, wait.waits_for) for row in rows
    ]
