-- What a merchant asks of withdrawals. Whatever is asked for, what goes out is at least what every rail takes: 0.10.
CREATE TABLE payout_settings (
    merchant_id UUID NOT NULL,
    minimum_minor BIGINT DEFAULT '100' NOT NULL,
    fee_minor BIGINT DEFAULT '0' NOT NULL,
    fee_bps INTEGER DEFAULT '0' NOT NULL,
    fee_bearer VARCHAR(8) DEFAULT 'merchant' NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_payout_settings PRIMARY KEY (merchant_id),
    CONSTRAINT ck_payout_settings_fee CHECK (fee_minor BETWEEN 0 AND 1000000 AND fee_bps BETWEEN 0 AND 1000),
    CONSTRAINT ck_payout_settings_fee_bearer CHECK (fee_bearer IN ('merchant', 'payee')),
    CONSTRAINT ck_payout_settings_minimum CHECK (minimum_minor BETWEEN 10 AND 100000000 AND (fee_bearer = 'merchant'
        OR minimum_minor - fee_minor - minimum_minor * fee_bps / 10000 >= 10))
);

-- The fee is agreed when a withdrawal is asked for; `amount_minor` is what leaves the member's balance.
ALTER TABLE withdrawals
    ADD COLUMN fee_minor BIGINT DEFAULT '0' NOT NULL,
    ADD COLUMN fee_bearer VARCHAR(8) DEFAULT 'merchant' NOT NULL,
    ADD CONSTRAINT ck_withdrawals_fee_bearer CHECK (fee_bearer IN ('merchant', 'payee')),
    ADD CONSTRAINT ck_withdrawals_fee CHECK (fee_minor >= 0 AND (fee_bearer = 'merchant' OR fee_minor < amount_minor));
ALTER TABLE payout_batches ADD COLUMN requested_before TIMESTAMP WITH TIME ZONE;
-- Whose transfer it is with its provider: under another account it would be told that there is none.
ALTER TABLE payouts ADD COLUMN rail_account VARCHAR(160);
ALTER TABLE ledger_accounts DROP CONSTRAINT ck_ledger_accounts_kind;
ALTER TABLE ledger_accounts ADD CONSTRAINT ck_ledger_accounts_kind CHECK (kind IN (
    'member_pending', 'member_held', 'member_payable', 'member_in_payout', 'member_paid', 'order_clearing',
    'merchant_commission', 'merchant_sales', 'merchant_proceeds', 'platform_fee', 'merchant_deposits',
    'customer_payments', 'merchant_funds', 'merchant_funds_reserved', 'funds_spent', 'payout_fees'));

-- What two people say became of a payout that its provider tells nothing of.
CREATE TABLE payout_decisions (
    merchant_id UUID NOT NULL,
    payout_id UUID NOT NULL,
    outcome VARCHAR(8) NOT NULL,
    reason TEXT NOT NULL,
    evidence TEXT NOT NULL,
    asked_by UUID NOT NULL,
    asked_at TIMESTAMP WITH TIME ZONE NOT NULL,
    confirmed_by UUID,
    confirmed_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_payout_decisions PRIMARY KEY (merchant_id, payout_id),
    CONSTRAINT fk_payout_decisions_merchant_id_payout_id FOREIGN KEY (merchant_id, payout_id)
        REFERENCES payouts (merchant_id, id),
    CONSTRAINT ck_payout_decisions_outcome CHECK (outcome IN ('paid', 'failed')),
    CONSTRAINT ck_payout_decisions_two_people CHECK (confirmed_by <> asked_by),
    CONSTRAINT ck_payout_decisions_confirmed CHECK ((confirmed_by IS NULL) = (confirmed_at IS NULL))
);

ALTER TABLE payout_settings ENABLE ROW LEVEL SECURITY;
ALTER TABLE payout_decisions ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON payout_settings TO invitree_app
    USING (merchant_id = nullif(current_setting('invitree.merchant_id', true), '')::uuid);
CREATE POLICY system ON payout_settings TO invitree_system USING (true);
CREATE POLICY tenant ON payout_decisions TO invitree_app
    USING (merchant_id = nullif(current_setting('invitree.merchant_id', true), '')::uuid);
CREATE POLICY system ON payout_decisions TO invitree_system USING (true);
GRANT SELECT, INSERT, UPDATE ON payout_settings, payout_decisions TO invitree_app, invitree_system;
