"""What must hold of a tenant's money at any moment, by an arithmetic of its own and by `ledger verify`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from sqlalchemy import text

from app.kit import ids
from app.ledger.verify import verify as verify_ledger
from app.resources import Resources

# Of every line, by level, as tests.factories.campaigns has it.
RATES = {1: 3_000, 2: 1_000}

_LEVELS = ", ".join(f"({level}, {bps}::bigint)" for level, bps in RATES.items())
_ACCOUNTS = """
    SELECT a.id, a.kind, a.member_id, a.order_id, a.balance_minor, coalesce(sum(e.amount_minor), 0)::bigint AS moved
    FROM ledger_accounts a LEFT JOIN ledger_entries e ON e.merchant_id = a.merchant_id AND e.account_id = a.id
    WHERE a.merchant_id = :merchant GROUP BY a.merchant_id, a.id
"""
# A part of a whole is floored once; a refund takes it back by the differences of the floored part of what is refunded.
# Of what somebody rejected, which has a reason, nothing is kept.
_KEPT = f"""
    SELECT l.order_id, l.id AS line_id, r.level, CASE WHEN gone.id IS NOT NULL THEN 0 ELSE
           l.amount_minor * r.bps / 10000
           - CASE WHEN l.refunded_minor = l.amount_minor THEN l.amount_minor * r.bps / 10000
                  ELSE (l.amount_minor * r.bps / 10000) * l.refunded_minor / l.amount_minor END END AS minor
    FROM order_lines l CROSS JOIN (VALUES {_LEVELS}) r (level, bps)
    LEFT JOIN commissions gone ON gone.merchant_id = l.merchant_id AND gone.line_id = l.id AND gone.level = r.level
        AND gone.reverses_id IS NULL AND gone.reason IS NOT NULL
    WHERE l.merchant_id = :merchant
"""
# What paid withdrawals were charged, by who bears it.
_CHARGED = """
    SELECT coalesce(sum(fee_minor) FILTER (WHERE fee_bearer = 'payee'), 0)::bigint AS withheld,
           coalesce(sum(fee_minor) FILTER (WHERE fee_bearer = 'merchant'), 0)::bigint AS borne
    FROM withdrawals WHERE merchant_id = :merchant AND status = 'paid'
"""
_FEES = """
    SELECT coalesce(sum(fee - CASE WHEN refunded_minor = amount_minor THEN fee ELSE fee * refunded_minor / amount_minor
                        END), 0)::bigint
    FROM (SELECT *, amount_minor * platform_fee_bps / 10000 AS fee FROM orders WHERE merchant_id = :merchant) o
"""

# Each row is a fault.
_CHECKS: Mapping[str, str] = {
    "transactions that do not sum to zero": """
            SELECT transaction_id, sum(amount_minor) FROM ledger_entries WHERE merchant_id = :merchant
            GROUP BY transaction_id, currency HAVING sum(amount_minor) <> 0 OR count(*) < 2""",
    "balances beside their entries": f"""
            SELECT kind, balance_minor, moved FROM ({_ACCOUNTS}) a
            WHERE balance_minor IS NOT NULL AND balance_minor <> moved""",
    "balances below zero": f"""
            SELECT kind, moved FROM ({_ACCOUNTS}) a WHERE moved < 0 AND kind NOT IN (
                'member_payable', 'merchant_sales', 'merchant_deposits', 'customer_payments', 'merchant_proceeds',
                'merchant_commission')""",
    "buckets beside the commissions of their status": f"""
            SELECT coalesce(a.kind, c.kind), a.moved, c.minor FROM
                (SELECT * FROM ({_ACCOUNTS}) a WHERE member_id IS NOT NULL AND moved <> 0) a
            FULL JOIN (SELECT member_id, 'member_' || status AS kind, sum(amount_minor) AS minor FROM (
                           SELECT member_id, status, amount_minor FROM commissions
                           WHERE merchant_id = :merchant AND status NOT IN ('reversed', 'rejected')
                           UNION ALL SELECT member_id, status, -fee_minor FROM withdrawals
                           WHERE merchant_id = :merchant AND status = 'paid' AND fee_bearer = 'payee') less_fees
                       GROUP BY 1, 2 HAVING sum(amount_minor) <> 0) c ON c.member_id = a.member_id AND c.kind = a.kind
            WHERE a.moved IS DISTINCT FROM c.minor""",
    "orders that are not shared out": f"""
            SELECT o.id, a.moved FROM orders o LEFT JOIN ({_ACCOUNTS}) a ON a.order_id = o.id
            WHERE o.merchant_id = :merchant AND a.moved IS DISTINCT FROM 0""",
    "commissions beside their arithmetic": f"""
            SELECT k.line_id, k.level, k.minor, c.minor FROM ({_KEPT}) k
            LEFT JOIN (SELECT line_id, level, sum(amount_minor) AS minor FROM commissions WHERE merchant_id = :merchant
                       GROUP BY 1, 2) c ON c.line_id = k.line_id AND c.level = k.level
            WHERE k.minor <> coalesce(c.minor, 0)""",
    "places of the merchant's money beside its orders": f"""
            WITH places AS (SELECT kind, sum(moved) AS minor FROM ({_ACCOUNTS}) a GROUP BY kind),
                 sold AS (SELECT coalesce(sum(amount_minor - refunded_minor), 0) AS minor FROM orders
                          WHERE merchant_id = :merchant),
                 kept AS (SELECT coalesce(sum(minor), 0) AS minor FROM ({_KEPT}) k),
                 fees AS (SELECT ({_FEES}) AS minor), charged AS ({_CHARGED})
            SELECT wanted.kind, wanted.minor, p.minor FROM (
                SELECT 'merchant_sales' AS kind, -sold.minor AS minor FROM sold
                UNION ALL SELECT 'platform_fee', minor FROM fees
                UNION ALL SELECT 'payout_fees', withheld + borne FROM charged
                UNION ALL SELECT 'merchant_proceeds', sold.minor - kept.minor - fees.minor - charged.borne
                FROM sold, kept, fees, charged) wanted
            LEFT JOIN places p USING (kind) WHERE wanted.minor <> coalesce(p.minor, 0)""",
    "members' money beside the commissions kept": f"""
            WITH kept AS (SELECT coalesce(sum(minor), 0) - (SELECT withheld FROM ({_CHARGED}) c) AS minor
                          FROM ({_KEPT}) k)
            SELECT kept.minor, sum(moved) FROM ({_ACCOUNTS}) a, kept WHERE member_id IS NOT NULL
            GROUP BY kept.minor HAVING kept.minor <> sum(moved)""",
    "commissions that wait though nothing of them is left": """
            SELECT coalesce(reverses_id, id), sum(amount_minor) FROM commissions WHERE merchant_id = :merchant
            GROUP BY 1 HAVING sum(amount_minor) = 0 AND bool_or(status IN ('pending', 'held'))""",
    "rejected commissions with something left": """
            SELECT coalesce(reverses_id, id), sum(amount_minor) FROM commissions WHERE merchant_id = :merchant
            GROUP BY 1 HAVING bool_or(status = 'rejected' OR reason IS NOT NULL)
                AND (sum(amount_minor) <> 0 OR bool_or(status = 'rejected' AND reason IS NULL AND refund_id IS NULL)
                     OR bool_or(status = 'rejected') <> bool_and(status = 'rejected'))""",
    "money paid in beside where it is": f"""
            SELECT sum(moved) FROM ({_ACCOUNTS}) a
            WHERE kind IN ('merchant_deposits', 'customer_payments', 'merchant_funds', 'merchant_funds_reserved',
                           'funds_spent') HAVING sum(moved) <> 0""",
    "funds beside the payouts that took them": f"""
            WITH taken AS (
                SELECT coalesce(sum(p.amount_minor + w.fee_minor) FILTER (WHERE p.status = 'paid'), 0)::bigint AS spent,
                       coalesce(sum(p.amount_minor + w.fee_minor) FILTER (WHERE p.status NOT IN ('paid', 'failed',
                           'cancelled') AND b.status IN ('approved', 'exported', 'sent')), 0)::bigint AS reserved
                FROM payouts p
                JOIN withdrawals w ON w.merchant_id = p.merchant_id AND w.id = p.withdrawal_id
                JOIN payout_batches b ON b.merchant_id = p.merchant_id AND b.id = p.batch_id
                WHERE p.merchant_id = :merchant AND (SELECT funding FROM merchants WHERE id = :merchant) = 'prepaid')
            SELECT wanted.kind, wanted.minor, a.moved FROM (
                SELECT 'funds_spent' AS kind, spent AS minor FROM taken
                UNION ALL SELECT 'merchant_funds_reserved', reserved FROM taken) wanted
            LEFT JOIN ({_ACCOUNTS}) a USING (kind) WHERE wanted.minor <> coalesce(a.moved, 0)""",
    "refunds beside their orders": """
            SELECT o.id, o.refunded_minor, r.minor, l.minor FROM orders o
            LEFT JOIN (SELECT order_id, sum(amount_minor) AS minor FROM refunds
                       WHERE merchant_id = :merchant AND status = 'applied' GROUP BY 1) r ON r.order_id = o.id
            LEFT JOIN (SELECT order_id, sum(refunded_minor) AS minor FROM order_lines WHERE merchant_id = :merchant
                       GROUP BY 1) l ON l.order_id = o.id
            WHERE o.merchant_id = :merchant
                  AND (o.refunded_minor, o.refunded_minor) IS DISTINCT FROM (coalesce(r.minor, 0), coalesce(l.minor, 0))
            UNION ALL SELECT id, amount_minor, refunded_minor, 0 FROM orders
            WHERE merchant_id = :merchant AND refunded_minor > amount_minor""",
    "withdrawals beside their commissions": """
            SELECT w.id, w.amount_minor, sum(c.amount_minor) FROM withdrawals w
            LEFT JOIN commissions c ON c.merchant_id = w.merchant_id AND c.withdrawal_id = w.id
                AND c.status IN ('in_payout', 'paid')
            WHERE w.merchant_id = :merchant AND w.status IN ('requested', 'approved', 'in_payout', 'paid')
            GROUP BY w.id, w.amount_minor HAVING sum(c.amount_minor) IS DISTINCT FROM w.amount_minor""",
    "batches beside their payouts": """
            SELECT b.id, b.total_minor, sum(p.amount_minor) FROM payout_batches b
            LEFT JOIN payouts p ON p.merchant_id = b.merchant_id AND p.batch_id = b.id AND p.status <> 'cancelled'
            WHERE b.merchant_id = :merchant AND b.status <> 'cancelled'
            GROUP BY b.id, b.total_minor HAVING sum(p.amount_minor) IS DISTINCT FROM b.total_minor""",
}
# In one round trip: it is asked after each step.
_ALL = text(
    " UNION ALL ".join(
        f"SELECT '{name.replace(chr(39), chr(39) * 2)}' AS name, row(wrong.*)::text AS fault FROM ({statement}) wrong"
        for name, statement in _CHECKS.items()
    )
)


async def faults(resources: Resources, merchant_id: str) -> list[str]:
    """A line each; none where all adds up, by these checks and by the application's own."""
    found: list[str] = []
    async with resources.db.tenant(merchant_id) as session:
        rows = await session.execute(_ALL, {"merchant": ids.decode("mch", merchant_id)})
        found += [f"{name}: {fault}" for name, fault in rows]
        books = await verify_ledger(session, merchant_id=merchant_id)
    return found + [f"ledger verify: {difference}" for difference in books.differences]


async def is_in_debt(resources: Resources, merchant_id: str) -> bool:
    """Whether somebody owes what was refunded after it had been paid out."""
    debt = text("SELECT EXISTS (SELECT FROM ledger_accounts WHERE merchant_id = :merchant AND balance_minor < 0)")
    async with resources.db.tenant(merchant_id) as session:
        return bool(await session.scalar(debt, {"merchant": ids.decode("mch", merchant_id)}))


async def booked(resources: Resources, merchant_id: str) -> Counter[str]:
    """How many movements of each kind are in the books; of payouts, those besides that withheld a fee."""
    kinds = text("""
        SELECT kind, count(*) FROM ledger_transactions WHERE merchant_id = :merchant GROUP BY 1
        UNION ALL SELECT 'fee_withheld', count(*) FROM withdrawals
        WHERE merchant_id = :merchant AND status = 'paid' AND fee_bearer = 'payee' AND fee_minor > 0""")
    async with resources.db.tenant(merchant_id) as session:
        rows = await session.execute(kinds, {"merchant": ids.decode("mch", merchant_id)})
        return Counter({str(kind): int(count) for kind, count in rows})
