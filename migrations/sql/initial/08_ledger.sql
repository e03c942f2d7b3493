CREATE TABLE ledger_accounts (
    merchant_id UUID NOT NULL,
    id UUID NOT NULL,
    kind VARCHAR(24) NOT NULL,
    member_id UUID,
    currency CHAR(3) NOT NULL,
    balance_minor BIGINT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_ledger_accounts PRIMARY KEY (merchant_id, id),
    CONSTRAINT ck_ledger_accounts_kind CHECK (kind IN ('member_pending', 'member_held', 'member_payable', 'member_in_payout', 'member_paid', 'merchant_commission')),
    CONSTRAINT ck_ledger_accounts_balance_of_members_only CHECK ((member_id IS NULL) = (balance_minor IS NULL)),
    CONSTRAINT ck_ledger_accounts_owner CHECK ((member_id IS NOT NULL) = (kind LIKE 'member%')),
    CONSTRAINT ck_ledger_accounts_only_payable_is_a_debt CHECK (kind = 'member_payable' OR balance_minor >= 0)
);
CREATE UNIQUE INDEX uq_ledger_accounts_owner ON ledger_accounts (merchant_id, kind, member_id, currency) NULLS NOT DISTINCT;

CREATE TABLE ledger_transactions (
    merchant_id UUID NOT NULL,
    id UUID NOT NULL,
    kind VARCHAR(32) NOT NULL,
    reference VARCHAR(80) NOT NULL,
    occurred_at TIMESTAMP WITH TIME ZONE NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_ledger_transactions PRIMARY KEY (merchant_id, id)
);
CREATE UNIQUE INDEX uq_ledger_transactions_reference ON ledger_transactions (merchant_id, kind, reference);

CREATE TABLE ledger_entries (
    merchant_id UUID NOT NULL,
    number BIGINT GENERATED ALWAYS AS IDENTITY,
    transaction_id UUID NOT NULL,
    account_id UUID NOT NULL,
    amount_minor BIGINT NOT NULL,
    currency CHAR(3) NOT NULL,
    CONSTRAINT pk_ledger_entries PRIMARY KEY (merchant_id, number),
    CONSTRAINT fk_ledger_entries_merchant_id_transaction_id FOREIGN KEY(merchant_id, transaction_id) REFERENCES ledger_transactions (merchant_id, id),
    CONSTRAINT fk_ledger_entries_merchant_id_account_id FOREIGN KEY(merchant_id, account_id) REFERENCES ledger_accounts (merchant_id, id),
    CONSTRAINT ck_ledger_entries_amount CHECK (amount_minor <> 0)
);
CREATE INDEX ix_ledger_entries_account ON ledger_entries (merchant_id, account_id, number);
CREATE INDEX ix_ledger_entries_transaction ON ledger_entries (merchant_id, transaction_id);
