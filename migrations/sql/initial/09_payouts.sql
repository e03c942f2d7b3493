CREATE TABLE payout_batches (
    merchant_id UUID NOT NULL,
    id UUID NOT NULL,
    number VARCHAR(32) NOT NULL,
    channel VARCHAR(16) DEFAULT 'file' NOT NULL,
    campaign_id UUID,
    status VARCHAR(16) NOT NULL,
    payout_count INTEGER NOT NULL,
    total_minor BIGINT NOT NULL,
    currency CHAR(3) NOT NULL,
    built_by UUID NOT NULL,
    approved_by UUID,
    approved_at TIMESTAMP WITH TIME ZONE,
    exported_at TIMESTAMP WITH TIME ZONE,
    settled_at TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_payout_batches PRIMARY KEY (merchant_id, id),
    CONSTRAINT ck_payout_batches_status CHECK (status IN ('built', 'approved', 'exported', 'sent', 'settled', 'cancelled')),
    CONSTRAINT ck_payout_batches_maker_is_not_checker CHECK (approved_by IS NULL OR approved_by <> built_by)
);
CREATE UNIQUE INDEX uq_payout_batches_number ON payout_batches (merchant_id, number);

CREATE TABLE payout_batch_files (
    merchant_id UUID NOT NULL,
    batch_id UUID NOT NULL,
    format VARCHAR(8) NOT NULL,
    name VARCHAR(120) NOT NULL,
    content BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_payout_batch_files PRIMARY KEY (merchant_id, batch_id, format),
    CONSTRAINT fk_payout_batch_files_merchant_id_batch_id FOREIGN KEY(merchant_id, batch_id) REFERENCES payout_batches (merchant_id, id),
    CONSTRAINT ck_payout_batch_files_format CHECK (format IN ('csv', 'xlsx'))
);

CREATE TABLE payee_accounts (
    merchant_id UUID NOT NULL,
    id UUID NOT NULL,
    member_id UUID NOT NULL,
    kind VARCHAR(8) NOT NULL,
    account BYTEA NOT NULL,
    account_index BYTEA NOT NULL,
    real_name BYTEA NOT NULL,
    bank_name VARCHAR(80),
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_payee_accounts PRIMARY KEY (merchant_id, id),
    CONSTRAINT fk_payee_accounts_merchant_id_member_id FOREIGN KEY(merchant_id, member_id) REFERENCES members (merchant_id, id),
    CONSTRAINT ck_payee_accounts_kind CHECK (kind IN ('wechat', 'alipay', 'bank'))
);
CREATE INDEX ix_payee_accounts_index ON payee_accounts (merchant_id, account_index);
CREATE UNIQUE INDEX uq_payee_accounts_account ON payee_accounts (merchant_id, member_id, kind, account_index);

CREATE TABLE withdrawals (
    merchant_id UUID NOT NULL,
    id UUID NOT NULL,
    member_id UUID NOT NULL,
    payee_account_id UUID NOT NULL,
    amount_minor BIGINT NOT NULL,
    currency CHAR(3) NOT NULL,
    status VARCHAR(16) NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_withdrawals PRIMARY KEY (merchant_id, id),
    CONSTRAINT fk_withdrawals_merchant_id_member_id FOREIGN KEY(merchant_id, member_id) REFERENCES members (merchant_id, id),
    CONSTRAINT fk_withdrawals_merchant_id_payee_account_id FOREIGN KEY(merchant_id, payee_account_id) REFERENCES payee_accounts (merchant_id, id),
    CONSTRAINT ck_withdrawals_status CHECK (status IN ('requested', 'approved', 'rejected', 'in_payout', 'paid', 'failed', 'cancelled')),
    CONSTRAINT ck_withdrawals_amount CHECK (amount_minor > 0)
);
CREATE INDEX ix_withdrawals_member ON withdrawals (merchant_id, member_id, id);
CREATE UNIQUE INDEX uq_withdrawals_open ON withdrawals (merchant_id, member_id, currency) WHERE status IN ('requested', 'approved', 'in_payout');

CREATE TABLE payouts (
    merchant_id UUID NOT NULL,
    id UUID NOT NULL,
    batch_id UUID NOT NULL,
    withdrawal_id UUID NOT NULL,
    member_id UUID NOT NULL,
    payee_account_id UUID NOT NULL,
    amount_minor BIGINT NOT NULL,
    currency CHAR(3) NOT NULL,
    status VARCHAR(16) NOT NULL,
    external_id VARCHAR(128),
    reason TEXT,
    paid_at TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_payouts PRIMARY KEY (merchant_id, id),
    CONSTRAINT fk_payouts_merchant_id_batch_id FOREIGN KEY(merchant_id, batch_id) REFERENCES payout_batches (merchant_id, id),
    CONSTRAINT fk_payouts_merchant_id_withdrawal_id FOREIGN KEY(merchant_id, withdrawal_id) REFERENCES withdrawals (merchant_id, id),
    CONSTRAINT fk_payouts_merchant_id_payee_account_id FOREIGN KEY(merchant_id, payee_account_id) REFERENCES payee_accounts (merchant_id, id),
    CONSTRAINT ck_payouts_status CHECK (status IN ('created', 'submitting', 'awaiting_payee', 'unknown', 'paid', 'failed', 'cancelled')),
    CONSTRAINT ck_payouts_amount CHECK (amount_minor > 0)
);
CREATE INDEX ix_payouts_batch ON payouts (merchant_id, batch_id, id);
CREATE UNIQUE INDEX uq_payouts_withdrawal ON payouts (merchant_id, withdrawal_id) WHERE status NOT IN ('failed', 'cancelled');
