-- Accounts of an order's money, of the platform's fee, of what a merchant has paid in.
ALTER TABLE ledger_accounts
    ADD COLUMN order_id UUID,
    -- A column of its own, since an index that reads the balance itself would make each move of it write all indexes.
    ADD COLUMN is_open BOOLEAN GENERATED ALWAYS AS (order_id IS NOT NULL AND balance_minor <> 0) STORED NOT NULL,
    DROP CONSTRAINT ck_ledger_accounts_kind,
    DROP CONSTRAINT ck_ledger_accounts_balance_of_members_only,
    ADD CONSTRAINT ck_ledger_accounts_kind CHECK (kind IN (
        'member_pending', 'member_held', 'member_payable', 'member_in_payout', 'member_paid', 'order_clearing',
        'merchant_commission', 'merchant_sales', 'merchant_proceeds', 'platform_fee', 'merchant_deposits',
        'customer_payments', 'merchant_funds', 'merchant_funds_reserved', 'funds_spent')),
    ADD CONSTRAINT ck_ledger_accounts_balance_of_members_and_orders
        CHECK ((member_id IS NULL AND order_id IS NULL) = (balance_minor IS NULL)),
    ADD CONSTRAINT ck_ledger_accounts_order CHECK ((order_id IS NOT NULL) = (kind = 'order_clearing')),
    -- One account an order, found without a look: it has the order's own number.
    ADD CONSTRAINT ck_ledger_accounts_number_of_its_order CHECK (order_id = id),
    ADD CONSTRAINT fk_ledger_accounts_merchant_id_order_id FOREIGN KEY (merchant_id, order_id)
        REFERENCES orders (merchant_id, id);
DROP INDEX uq_ledger_accounts_owner;
CREATE UNIQUE INDEX uq_ledger_accounts_member ON ledger_accounts (merchant_id, kind, member_id, currency)
    WHERE member_id IS NOT NULL;
CREATE UNIQUE INDEX uq_ledger_accounts_merchant ON ledger_accounts (merchant_id, kind, currency)
    WHERE member_id IS NULL AND order_id IS NULL;
CREATE INDEX ix_ledger_accounts_open ON ledger_accounts (merchant_id, order_id) WHERE is_open;

-- What moves nothing in the end is neither locked nor written: an order's account, which all legs pass in one statement.
CREATE OR REPLACE FUNCTION ledger_entries_added() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM added GROUP BY merchant_id, transaction_id, currency HAVING sum(amount_minor) <> 0) THEN
        RAISE EXCEPTION 'the legs of a ledger transaction do not sum to zero'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_entries_zero_sum', TABLE = 'ledger_entries';
    END IF;
    IF EXISTS (SELECT 1 FROM added e JOIN ledger_accounts a ON a.merchant_id = e.merchant_id AND a.id = e.account_id
               WHERE a.currency <> e.currency) THEN
        RAISE EXCEPTION 'an entry has another currency than its account'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_entries_currency', TABLE = 'ledger_entries';
    END IF;
    PERFORM 1 FROM ledger_accounts a
        WHERE a.balance_minor IS NOT NULL AND (a.merchant_id, a.id) IN (
            SELECT merchant_id, account_id FROM added GROUP BY 1, 2 HAVING sum(amount_minor) <> 0)
        ORDER BY a.merchant_id, a.id FOR NO KEY UPDATE;
    UPDATE ledger_accounts a SET balance_minor = a.balance_minor + moved.amount
        FROM (SELECT merchant_id, account_id, sum(amount_minor)::bigint AS amount FROM added GROUP BY 1, 2
              HAVING sum(amount_minor) <> 0) moved
        WHERE a.merchant_id = moved.merchant_id AND a.id = moved.account_id AND a.balance_minor IS NOT NULL;
    RETURN NULL;
END $$;

-- The fee is agreed when an order is recorded: of those from before none was.
ALTER TABLE orders
    ADD COLUMN platform_fee_bps INTEGER DEFAULT '0' NOT NULL,
    ADD COLUMN platform_fee_minor BIGINT DEFAULT '0' NOT NULL,
    ADD COLUMN platform_fee_refunded_minor BIGINT DEFAULT '0' NOT NULL,
    ADD COLUMN fulfilled_at TIMESTAMP WITH TIME ZONE,
    ADD CONSTRAINT ck_orders_platform_fee CHECK (platform_fee_bps BETWEEN 0 AND 10000
        AND platform_fee_minor BETWEEN 0 AND amount_minor
        AND platform_fee_refunded_minor BETWEEN 0 AND platform_fee_minor);
ALTER TABLE campaigns
    ADD COLUMN product_kind VARCHAR(8) DEFAULT 'goods' NOT NULL,
    ADD CONSTRAINT ck_campaigns_product_kind CHECK (product_kind IN ('goods', 'service'));
CREATE INDEX ix_payouts_external_id ON payouts (merchant_id, external_id) WHERE external_id IS NOT NULL;
-- A hold that runs from fulfilment has no end before.
GRANT UPDATE (hold_until) ON commissions TO invitree_app, invitree_system;
