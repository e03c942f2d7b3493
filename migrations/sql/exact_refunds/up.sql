-- What was refunded so far stays with the lines it was taken of, as if each had been named.
ALTER TABLE order_lines ADD COLUMN named_minor BIGINT DEFAULT '0' NOT NULL;
UPDATE order_lines SET named_minor = refunded_minor WHERE refunded_minor > 0;
ALTER TABLE order_lines ADD CONSTRAINT ck_order_lines_named CHECK (named_minor BETWEEN 0 AND refunded_minor);

ALTER TABLE commissions ADD COLUMN reason VARCHAR(500);
GRANT UPDATE (reason) ON commissions TO invitree_app, invitree_system;

-- Fees that merchants bore of payouts so far get the legs that they would have now.
CREATE OR REPLACE FUNCTION pg_temp.type_id(prefix text, value uuid) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT prefix || '_' || string_agg(substr('0123456789abcdefghjkmnpqrstvwxyz', substring(
        B'00' || ('x' || replace(value::text, '-', ''))::bit(128) FROM 5 * place + 1 FOR 5)::bit(5)::integer + 1, 1),
        '' ORDER BY place)
    FROM generate_series(0, 25) place $$;
CREATE TEMPORARY TABLE borne ON COMMIT DROP AS
    SELECT p.merchant_id, p.currency, w.fee_minor, pg_temp.type_id('pay', p.id) AS reference,
           coalesce(p.paid_at, p.created_at) AS occurred_at, gen_random_uuid() AS transaction_id
    FROM payouts p JOIN withdrawals w ON w.merchant_id = p.merchant_id AND w.id = p.withdrawal_id
    WHERE p.status = 'paid' AND w.fee_bearer = 'merchant' AND w.fee_minor > 0;
INSERT INTO ledger_accounts (merchant_id, id, kind, currency)
    SELECT merchant_id, gen_random_uuid(), kind, currency
    FROM (SELECT DISTINCT merchant_id, currency FROM borne) b, unnest(ARRAY['merchant_proceeds', 'payout_fees']) kind
    ON CONFLICT DO NOTHING;
INSERT INTO ledger_transactions (merchant_id, id, kind, reference, occurred_at)
    SELECT merchant_id, transaction_id, 'payout_fee_borne', reference, occurred_at FROM borne;
INSERT INTO ledger_entries (merchant_id, transaction_id, account_id, amount_minor, currency)
    SELECT b.merchant_id, b.transaction_id, a.id,
           CASE a.kind WHEN 'payout_fees' THEN b.fee_minor ELSE -b.fee_minor END, b.currency
    FROM borne b
    JOIN ledger_accounts a ON a.merchant_id = b.merchant_id AND a.currency = b.currency AND a.member_id IS NULL
         AND a.kind IN ('merchant_proceeds', 'payout_fees');
