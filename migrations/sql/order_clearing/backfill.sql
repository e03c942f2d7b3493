-- Orders from before get the legs they would have had, through an account that ends at zero. Their commissions stand
-- against merchant_commission in the books, which this empties: what was posted is never rewritten.
CREATE FUNCTION pg_temp.type_id(prefix text, value uuid) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT prefix || '_' || string_agg(substr('0123456789abcdefghjkmnpqrstvwxyz', substring(
        B'00' || ('x' || replace(value::text, '-', ''))::bit(128) FROM 5 * place + 1 FOR 5)::bit(5)::integer + 1, 1),
        '' ORDER BY place)
    FROM generate_series(0, 25) place $$;

INSERT INTO ledger_accounts (merchant_id, id, kind, order_id, currency, balance_minor)
    SELECT merchant_id, id, 'order_clearing', id, currency, 0 FROM orders;
INSERT INTO ledger_accounts (merchant_id, id, kind, currency)
    SELECT merchant_id, gen_random_uuid(), kind, currency
    FROM (SELECT DISTINCT merchant_id, currency FROM orders) o,
         unnest(ARRAY['merchant_sales', 'merchant_commission', 'merchant_proceeds']) kind
    ON CONFLICT DO NOTHING;

-- `into_order`: what the order's account gets, from the merchant's account of that kind.
CREATE TEMPORARY TABLE moves ON COMMIT DROP AS
    WITH events AS (
        SELECT o.merchant_id, o.id AS order_id, o.currency, pg_temp.type_id('ord', o.id) AS reference,
               o.paid_at AS occurred_at, o.amount_minor AS amount, false AS back,
               coalesce((SELECT sum(c.amount_minor) FROM commissions c
                         WHERE c.merchant_id = o.merchant_id AND c.order_id = o.id AND c.refund_id IS NULL
                               AND c.status <> 'rejected'), 0)::bigint AS shared
        FROM orders o
        UNION ALL
        SELECT r.merchant_id, r.order_id, r.currency, pg_temp.type_id('rfd', r.id), r.refunded_at, -r.amount_minor, true,
               coalesce((SELECT sum(c.amount_minor) FROM commissions c
                         WHERE c.merchant_id = r.merchant_id AND c.refund_id = r.id AND c.status <> 'rejected'), 0)::bigint
        FROM refunds r WHERE r.status = 'applied')
    SELECT merchant_id, order_id, currency, reference, occurred_at, gen_random_uuid() AS transaction_id, leg.*
    FROM events, LATERAL (VALUES
        (CASE WHEN back THEN 'order_refunded' ELSE 'order_paid' END, 'merchant_sales', amount),
        ('commission_cleared', 'merchant_commission', -shared),
        (CASE WHEN back THEN 'proceeds_reversed' ELSE 'order_proceeds' END, 'merchant_proceeds', shared - amount)
    ) leg (kind, against, into_order)
    WHERE leg.into_order <> 0;
INSERT INTO ledger_transactions (merchant_id, id, kind, reference, occurred_at)
    SELECT merchant_id, transaction_id, kind, reference, occurred_at FROM moves;
INSERT INTO ledger_entries (merchant_id, transaction_id, account_id, amount_minor, currency)
    SELECT m.merchant_id, m.transaction_id, a.id, m.into_order, m.currency FROM moves m
    JOIN ledger_accounts a ON a.merchant_id = m.merchant_id AND a.kind = 'order_clearing' AND a.order_id = m.order_id
    UNION ALL
    SELECT m.merchant_id, m.transaction_id, a.id, -m.into_order, m.currency FROM moves m
    JOIN ledger_accounts a ON a.merchant_id = m.merchant_id AND a.kind = m.against AND a.currency = m.currency;

-- Whose friend had bought: known where the binding of then was kept when it was replaced, or had ended by then.
UPDATE orders o SET inviter_id = known.inviter_id
FROM (SELECT o.merchant_id, o.id, CASE WHEN held.binding_ends_at <= o.paid_at THEN NULL ELSE held.inviter_id END AS inviter_id
      FROM orders o CROSS JOIN LATERAL (
          SELECT p.inviter_id, p.binding_ends_at FROM past_bindings p
          WHERE p.merchant_id = o.merchant_id AND p.invitee_id = o.participant_id AND p.replaced_at > o.paid_at
          ORDER BY p.replaced_at, p.id LIMIT 1) held
      UNION ALL
      SELECT o.merchant_id, o.id, NULL FROM orders o
      JOIN referrals r ON r.merchant_id = o.merchant_id AND r.campaign_id = o.campaign_id
           AND r.invitee_id = o.participant_id AND r.binding_ends_at <= o.paid_at
      WHERE NOT EXISTS (SELECT 1 FROM past_bindings p WHERE p.merchant_id = o.merchant_id
                        AND p.invitee_id = o.participant_id AND p.replaced_at > o.paid_at)) known
WHERE o.merchant_id = known.merchant_id AND o.id = known.id AND o.inviter_id IS DISTINCT FROM known.inviter_id;
