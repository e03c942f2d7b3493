-- Commissions stand against merchant_commission again; whatever else passed the accounts that go, goes with them.
INSERT INTO ledger_accounts (merchant_id, id, kind, currency)
    SELECT DISTINCT ON (merchant_id, currency) merchant_id, gen_random_uuid(), 'merchant_commission', currency
    FROM ledger_accounts WHERE kind = 'order_clearing'
    ON CONFLICT DO NOTHING;
UPDATE ledger_entries e SET account_id = merchant.id
FROM ledger_transactions t, ledger_accounts clearing, ledger_accounts merchant
WHERE t.merchant_id = e.merchant_id AND t.id = e.transaction_id AND t.kind IN ('commission_earned', 'commission_reversed')
      AND clearing.merchant_id = e.merchant_id AND clearing.id = e.account_id AND clearing.kind = 'order_clearing'
      AND merchant.merchant_id = e.merchant_id AND merchant.kind = 'merchant_commission'
      AND merchant.currency = clearing.currency;
CREATE TEMPORARY TABLE leaving ON COMMIT DROP AS
    SELECT DISTINCT e.merchant_id, e.transaction_id FROM ledger_entries e
    JOIN ledger_accounts a ON a.merchant_id = e.merchant_id AND a.id = e.account_id
    WHERE a.kind <> 'merchant_commission' AND a.member_id IS NULL;
DELETE FROM ledger_entries e USING leaving l
    WHERE e.merchant_id = l.merchant_id AND e.transaction_id = l.transaction_id;
DELETE FROM ledger_transactions t USING leaving l WHERE t.merchant_id = l.merchant_id AND t.id = l.transaction_id;
DELETE FROM ledger_accounts WHERE kind <> 'merchant_commission' AND member_id IS NULL;

REVOKE UPDATE (hold_until) ON commissions FROM invitree_app, invitree_system;
DROP INDEX ix_payouts_external_id;
ALTER TABLE campaigns DROP COLUMN product_kind;
ALTER TABLE orders DROP COLUMN platform_fee_bps, DROP COLUMN platform_fee_minor,
    DROP COLUMN platform_fee_refunded_minor, DROP COLUMN fulfilled_at;
DROP INDEX uq_ledger_accounts_member, uq_ledger_accounts_merchant;
ALTER TABLE ledger_accounts
    DROP CONSTRAINT ck_ledger_accounts_kind,
    DROP CONSTRAINT ck_ledger_accounts_balance_of_members_and_orders,
    DROP CONSTRAINT ck_ledger_accounts_order,
    DROP CONSTRAINT ck_ledger_accounts_number_of_its_order,
    DROP COLUMN is_open,
    DROP COLUMN order_id,
    ADD CONSTRAINT ck_ledger_accounts_kind CHECK (kind IN ('member_pending', 'member_held', 'member_payable',
        'member_in_payout', 'member_paid', 'merchant_commission')),
    ADD CONSTRAINT ck_ledger_accounts_balance_of_members_only CHECK ((member_id IS NULL) = (balance_minor IS NULL));
CREATE UNIQUE INDEX uq_ledger_accounts_owner ON ledger_accounts (merchant_id, kind, member_id, currency)
    NULLS NOT DISTINCT;
