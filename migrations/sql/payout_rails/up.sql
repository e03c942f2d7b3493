-- What a provider is asked for, and when it is asked again.
ALTER TABLE payout_batches ADD COLUMN sent_at TIMESTAMP WITH TIME ZONE;
ALTER TABLE payouts
    ADD COLUMN rail VARCHAR(16),
    ADD COLUMN attempts SMALLINT DEFAULT '0' NOT NULL,
    ADD COLUMN due_at TIMESTAMP WITH TIME ZONE,
    ADD COLUMN leased_until TIMESTAMP WITH TIME ZONE,
    ADD COLUMN moved_at TIMESTAMP WITH TIME ZONE,
    ADD COLUMN cancel_asked_at TIMESTAMP WITH TIME ZONE,
    ADD COLUMN package_info BYTEA,
    ADD CONSTRAINT ck_payouts_rail CHECK (rail IN ('wechat', 'alipay', 'sandbox'));
CREATE INDEX ix_payouts_due ON payouts (due_at) WHERE due_at IS NOT NULL;

ALTER TABLE payout_batch_files DROP CONSTRAINT ck_payout_batch_files_format;
ALTER TABLE payout_batch_files
    ADD CONSTRAINT ck_payout_batch_files_format CHECK (format IN ('csv', 'xlsx', 'alipay', 'alipay-gbk'));
ALTER TABLE payout_batch_files ALTER COLUMN format TYPE VARCHAR(16);

-- A merchant's credentials with a provider, sealed.
CREATE TABLE payout_rails (
    merchant_id UUID NOT NULL,
    kind VARCHAR(16) NOT NULL,
    settings BYTEA NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_payout_rails PRIMARY KEY (merchant_id, kind),
    CONSTRAINT ck_payout_rails_kind CHECK (kind IN ('wechat', 'alipay', 'sandbox'))
);

-- The books of the provider that test tenants have: what it has carried out, by the key it was asked with.
CREATE TABLE sandbox_transfers (
    merchant_id UUID NOT NULL,
    key VARCHAR(32) NOT NULL,
    amount_minor BIGINT NOT NULL,
    currency CHAR(3) NOT NULL,
    status VARCHAR(16) NOT NULL,
    asked_again INTEGER DEFAULT '0' NOT NULL,
    settles_at TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_sandbox_transfers PRIMARY KEY (merchant_id, key),
    CONSTRAINT ck_sandbox_transfers_status CHECK (status IN ('processing', 'awaiting', 'paid', 'rejected', 'closed'))
);

ALTER TABLE payout_rails ENABLE ROW LEVEL SECURITY;
ALTER TABLE sandbox_transfers ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON payout_rails TO invitree_app
    USING (merchant_id = nullif(current_setting('invitree.merchant_id', true), '')::uuid);
CREATE POLICY system ON payout_rails TO invitree_system USING (true);
CREATE POLICY tenant ON sandbox_transfers TO invitree_app
    USING (merchant_id = nullif(current_setting('invitree.merchant_id', true), '')::uuid);
CREATE POLICY system ON sandbox_transfers TO invitree_system USING (true);
GRANT SELECT, INSERT, UPDATE ON payout_rails, sandbox_transfers TO invitree_app, invitree_system;
