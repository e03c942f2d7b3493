"""What must hold in the books, as statements that find what does not: each set-based, over one merchant or all."""

SCOPE = """
    WITH accounts AS NOT MATERIALIZED (
             SELECT * FROM ledger_accounts WHERE :everyone OR merchant_id = :merchant_id),
         entries AS NOT MATERIALIZED (
             SELECT * FROM ledger_entries WHERE :everyone OR merchant_id = :merchant_id),
         transactions AS NOT MATERIALIZED (
             SELECT * FROM ledger_transactions WHERE :everyone OR merchant_id = :merchant_id),
         earnings AS NOT MATERIALIZED (
             SELECT * FROM commissions WHERE :everyone OR merchant_id = :merchant_id),
         sales AS NOT MATERIALIZED (
             SELECT * FROM orders WHERE :everyone OR merchant_id = :merchant_id),
         fees AS NOT MATERIALIZED (
             SELECT * FROM withdrawals
             WHERE status = 'paid' AND fee_minor > 0 AND (:everyone OR merchant_id = :merchant_id))
"""

COUNTS = """
    SELECT (SELECT count(*) FROM transactions) AS transactions, (SELECT count(*) FROM entries) AS entries,
           (SELECT count(*) FROM accounts) AS accounts, (SELECT count(*) FROM earnings) AS commissions,
           (SELECT count(*) FROM sales) AS orders"""

# Each gives merchant_id, prefix, subject (a uuid), detail, currency, expected, found: one row a difference.
CHECKS = {
    "transaction_sums_to_zero": """
        SELECT merchant_id, 'txn' AS prefix, transaction_id AS subject, '' AS detail, currency,
               0 AS expected, sum(amount_minor) AS found
        FROM entries
        GROUP BY merchant_id, transaction_id, currency HAVING sum(amount_minor) <> 0""",
    "balance_is_the_sum_of_entries": """
        SELECT a.merchant_id, CASE WHEN a.member_id IS NULL THEN 'ord' ELSE 'mbr' END AS prefix,
               coalesce(a.member_id, a.order_id) AS subject, a.kind AS detail, a.currency,
               coalesce(e.total, 0) AS expected, a.balance_minor AS found
        FROM accounts a
        LEFT JOIN (SELECT merchant_id, account_id, sum(amount_minor) AS total FROM entries
                   GROUP BY merchant_id, account_id) e ON e.merchant_id = a.merchant_id AND e.account_id = a.id
        WHERE a.balance_minor <> coalesce(e.total, 0)""",
    "bucket_holds_the_commissions_of_its_status": """
        SELECT coalesce(a.merchant_id, c.merchant_id) AS merchant_id, 'mbr' AS prefix,
               coalesce(a.member_id, c.member_id) AS subject, coalesce(a.kind, c.kind) AS detail,
               coalesce(a.currency, c.currency) AS currency,
               coalesce(c.total, 0) AS expected, coalesce(a.balance_minor, 0) AS found
        FROM (SELECT * FROM accounts WHERE member_id IS NOT NULL) a
        FULL JOIN (SELECT merchant_id, member_id, 'member_' || status AS kind, currency, sum(amount_minor) AS total
                   FROM (SELECT merchant_id, member_id, status, currency, amount_minor FROM earnings
                         WHERE status IN ('pending', 'held', 'payable', 'in_payout', 'paid')
                         UNION ALL
                         SELECT merchant_id, member_id, 'paid', currency, -fee_minor FROM fees
                         WHERE fee_bearer = 'payee') less_fees
                   GROUP BY merchant_id, member_id, status, currency) c
            ON c.merchant_id = a.merchant_id AND c.member_id = a.member_id AND c.kind = a.kind
               AND c.currency = a.currency
        WHERE coalesce(a.balance_minor, 0) <> coalesce(c.total, 0)""",
    "held_commission_has_the_end_of_its_hold": """
        SELECT c.merchant_id, 'com' AS prefix, c.id AS subject, '' AS detail, c.currency,
               c.amount_minor AS expected, 0 AS found
        FROM earnings c
        WHERE c.status = 'held' AND c.hold_until IS NOT NULL AND NOT EXISTS (
            SELECT FROM commission_holds h WHERE h.merchant_id = c.merchant_id AND h.hold_until = c.hold_until
                AND h.commission_id = c.id)""",
    "refunds_take_back_no_more_than_was_earned": """
        SELECT merchant_id, 'com' AS prefix, coalesce(reverses_id, id) AS subject, '' AS detail, currency,
               0 AS expected, sum(amount_minor) AS found
        FROM earnings
        GROUP BY merchant_id, coalesce(reverses_id, id), currency HAVING sum(amount_minor) < 0""",
    "reversed_commission_nets_to_zero": """
        SELECT merchant_id, 'com' AS prefix, coalesce(reverses_id, id) AS subject, '' AS detail, currency,
               0 AS expected, sum(amount_minor) FILTER (WHERE status = 'reversed') AS found
        FROM earnings
        GROUP BY merchant_id, coalesce(reverses_id, id), currency
        HAVING sum(amount_minor) FILTER (WHERE status = 'reversed') <> 0""",
    "budget_counts_what_was_earned": """
        SELECT b.merchant_id, 'cmp' AS prefix, b.id AS subject, '' AS detail, b.currency,
               coalesce(sum(e.amount_minor), 0) AS expected, b.commission_minor AS found
        FROM (SELECT * FROM campaigns
              WHERE budget_minor IS NOT NULL AND (:everyone OR merchant_id = :merchant_id)) b
        LEFT JOIN earnings e ON e.merchant_id = b.merchant_id AND e.campaign_id = b.id AND e.status <> 'rejected'
        GROUP BY b.merchant_id, b.id, b.currency, b.commission_minor
        HAVING coalesce(sum(e.amount_minor), 0) <> b.commission_minor""",
    "order_is_shared_out": """
        SELECT merchant_id, 'ord' AS prefix, order_id AS subject, kind AS detail, currency,
               0 AS expected, balance_minor AS found
        FROM accounts WHERE is_open""",
    "order_has_its_legs": """
        SELECT o.merchant_id, 'ord' AS prefix, o.id AS subject, leg.detail, o.currency, leg.expected, leg.found
        FROM sales o
        LEFT JOIN (SELECT merchant_id, order_id, sum(amount_minor) AS total FROM earnings
                   WHERE status <> 'rejected' GROUP BY 1, 2) c ON c.merchant_id = o.merchant_id AND c.order_id = o.id
        LEFT JOIN (SELECT e.merchant_id, e.account_id,
                          sum(e.amount_minor) FILTER (WHERE t.kind = 'order_paid') AS paid,
                          sum(e.amount_minor) FILTER (WHERE t.kind = 'order_refunded') AS refunded,
                          sum(e.amount_minor) FILTER (WHERE t.kind LIKE 'commission%') AS commission,
                          sum(e.amount_minor) FILTER (WHERE t.kind LIKE 'platform_fee%') AS fee,
                          sum(e.amount_minor) FILTER (WHERE t.kind LIKE '%proceeds%') AS rest
                   FROM accounts a
                   JOIN entries e ON e.merchant_id = a.merchant_id AND e.account_id = a.id
                   JOIN transactions t ON t.merchant_id = e.merchant_id AND t.id = e.transaction_id
                   WHERE a.order_id IS NOT NULL GROUP BY 1, 2) l
            ON l.merchant_id = o.merchant_id AND l.account_id = o.id
        CROSS JOIN LATERAL (VALUES
            ('order_paid', o.amount_minor, l.paid),
            ('order_refunded', -o.refunded_minor, l.refunded),
            ('commission', -coalesce(c.total, 0), l.commission),
            ('platform_fee', o.platform_fee_refunded_minor - o.platform_fee_minor, l.fee),
            ('proceeds', coalesce(c.total, 0) + o.platform_fee_minor - o.platform_fee_refunded_minor
                         + o.refunded_minor - o.amount_minor, l.rest)
        ) legs (detail, expected, posted)
        CROSS JOIN LATERAL (SELECT legs.detail, legs.expected, coalesce(legs.posted, 0) AS found) leg
        WHERE leg.expected <> leg.found""",
    "platform_fee_is_its_share_of_the_order": """
        SELECT merchant_id, 'ord' AS prefix, id AS subject, '' AS detail, currency,
               div(amount_minor::numeric * platform_fee_bps, 10000) AS expected, platform_fee_minor AS found
        FROM sales WHERE platform_fee_minor <> div(amount_minor::numeric * platform_fee_bps, 10000)""",
    "platform_fee_comes_back_with_refunds": """
        SELECT merchant_id, 'ord' AS prefix, id AS subject, '' AS detail, currency,
               div(platform_fee_minor::numeric * refunded_minor, amount_minor) AS expected,
               platform_fee_refunded_minor AS found
        FROM sales
        WHERE platform_fee_refunded_minor <> div(platform_fee_minor::numeric * refunded_minor, amount_minor)""",
    "refunds_add_up": """
        SELECT o.merchant_id, 'ord' AS prefix, o.id AS subject, '' AS detail, o.currency,
               coalesce(r.total, 0) AS expected, o.refunded_minor AS found
        FROM sales o
        LEFT JOIN (SELECT merchant_id, order_id, sum(amount_minor) AS total FROM refunds
                   WHERE status = 'applied' AND (:everyone OR merchant_id = :merchant_id) GROUP BY 1, 2) r
            ON r.merchant_id = o.merchant_id AND r.order_id = o.id
        WHERE o.refunded_minor <> coalesce(r.total, 0)""",
    "merchant_accounts_hold_what_orders_brought": """
        SELECT merchant_id, 'mch' AS prefix, merchant_id AS subject, kind AS detail, currency,
               sum(expected) AS expected, sum(found) AS found
        FROM (SELECT o.merchant_id, o.currency, part.kind, part.expected, 0 AS found
              FROM sales o CROSS JOIN LATERAL (VALUES
                  ('merchant_sales', o.refunded_minor - o.amount_minor),
                  ('platform_fee', o.platform_fee_minor - o.platform_fee_refunded_minor),
                  ('merchant_proceeds', o.amount_minor - o.refunded_minor - o.platform_fee_minor
                                        + o.platform_fee_refunded_minor)) part (kind, expected)
              UNION ALL
              SELECT merchant_id, currency, 'merchant_proceeds', -amount_minor, 0
              FROM earnings WHERE status <> 'rejected'
              UNION ALL
              SELECT merchant_id, currency, 'merchant_proceeds', -fee_minor, 0
              FROM fees WHERE fee_bearer = 'merchant'
              UNION ALL
              SELECT a.merchant_id, a.currency, a.kind, 0, e.amount_minor
              FROM accounts a JOIN entries e ON e.merchant_id = a.merchant_id AND e.account_id = a.id
              WHERE a.kind IN ('merchant_sales', 'platform_fee', 'merchant_proceeds')) both_sides
        GROUP BY merchant_id, currency, kind HAVING sum(expected) <> sum(found)""",
    "customers_payments_are_in_the_funds": """
        SELECT merchant_id, 'mch' AS prefix, merchant_id AS subject, '' AS detail, currency,
               sum(expected) AS expected, sum(found) AS found
        FROM (SELECT merchant_id, currency, -amount_minor AS expected, 0 AS found FROM checkouts
              WHERE purpose <> 'top_up' AND applied_at IS NOT NULL AND (:everyone OR merchant_id = :merchant_id)
              UNION ALL
              SELECT o.merchant_id, o.currency, o.refunded_minor, 0
              FROM sales o JOIN checkouts c ON c.merchant_id = o.merchant_id AND c.id = o.id
              UNION ALL
              SELECT a.merchant_id, a.currency, 0, e.amount_minor
              FROM accounts a JOIN entries e ON e.merchant_id = a.merchant_id AND e.account_id = a.id
              WHERE a.kind = 'customer_payments') both_sides
        GROUP BY merchant_id, currency HAVING sum(expected) <> sum(found)""",
    "payout_fees_are_what_was_charged": """
        SELECT merchant_id, 'mch' AS prefix, merchant_id AS subject, '' AS detail, currency,
               sum(expected) AS expected, sum(found) AS found
        FROM (SELECT merchant_id, currency, fee_minor AS expected, 0 AS found FROM fees
              UNION ALL
              SELECT a.merchant_id, a.currency, 0, e.amount_minor
              FROM accounts a JOIN entries e ON e.merchant_id = a.merchant_id AND e.account_id = a.id
              WHERE a.kind = 'payout_fees') both_sides
        GROUP BY merchant_id, currency HAVING sum(expected) <> sum(found)""",
    "what_was_put_aside_leaves_whole": """
        SELECT a.merchant_id, 'txn' AS prefix, (array_agg(t.id ORDER BY e.number DESC))[1] AS subject,
               t.reference AS detail, a.currency, 0 AS expected, sum(e.amount_minor) AS found
        FROM accounts a
        JOIN entries e ON e.merchant_id = a.merchant_id AND e.account_id = a.id
        JOIN transactions t ON t.merchant_id = e.merchant_id AND t.id = e.transaction_id
        WHERE a.kind = 'merchant_funds_reserved'
        GROUP BY a.merchant_id, t.reference, a.currency
        HAVING sum(e.amount_minor) <> 0 AND bool_or(e.amount_minor < 0)""",
    # What a buyer gets back may be paid out already: that is a debt to the funds, and not what they were made to bear.
    "funds_are_not_overdrawn": """
        SELECT a.merchant_id, 'mch' AS prefix, a.merchant_id AS subject, a.kind AS detail, a.currency,
               0 AS expected, sum(e.amount_minor) AS found
        FROM accounts a
        JOIN entries e ON e.merchant_id = a.merchant_id AND e.account_id = a.id
        JOIN transactions t ON t.merchant_id = e.merchant_id AND t.id = e.transaction_id
        WHERE a.kind IN ('merchant_deposits', 'customer_payments', 'merchant_funds', 'merchant_funds_reserved',
                         'funds_spent', 'payout_fees')
        GROUP BY a.merchant_id, a.kind, a.currency
        HAVING sum(CASE WHEN a.kind IN ('merchant_deposits', 'customer_payments') THEN -e.amount_minor
                        WHEN a.kind = 'merchant_funds' AND t.kind = 'sale_returned' THEN 0
                        ELSE e.amount_minor END) < 0""",
}
