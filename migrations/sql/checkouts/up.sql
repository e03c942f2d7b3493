-- What is paid on our own page, by which provider, and what its notifications said that did not fit.
CREATE TABLE checkouts (
    merchant_id UUID NOT NULL,
    id UUID NOT NULL,
    purpose VARCHAR(16) NOT NULL,
    subject VARCHAR(64),
    status VARCHAR(16) NOT NULL,
    reason VARCHAR(64),
    campaign_id UUID,
    participant_id UUID,
    member_id UUID NOT NULL,
    title VARCHAR(120) NOT NULL,
    quantity INTEGER NOT NULL,
    reserved INTEGER DEFAULT '0' NOT NULL,
    amount_minor BIGINT NOT NULL,
    currency CHAR(3) NOT NULL,
    provider VARCHAR(16) NOT NULL,
    way VARCHAR(16),
    external_id VARCHAR(128),
    return_url VARCHAR(500),
    metadata JSONB DEFAULT '{}' NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE,
    paid_at TIMESTAMP WITH TIME ZONE,
    applied_at TIMESTAMP WITH TIME ZONE,
    refunded_at TIMESTAMP WITH TIME ZONE,
    due_at TIMESTAMP WITH TIME ZONE,
    attempts INTEGER DEFAULT '0' NOT NULL,
    leased_until TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_checkouts PRIMARY KEY (merchant_id, id),
    CONSTRAINT fk_checkouts_merchant_id_campaign_id FOREIGN KEY(merchant_id, campaign_id) REFERENCES campaigns (merchant_id, id),
    CONSTRAINT fk_checkouts_merchant_id_participant_id FOREIGN KEY(merchant_id, participant_id) REFERENCES participants (merchant_id, id),
    CONSTRAINT fk_checkouts_merchant_id_member_id FOREIGN KEY(merchant_id, member_id) REFERENCES members (merchant_id, id),
    CONSTRAINT ck_checkouts_purpose CHECK (purpose IN ('order', 'plan', 'top_up')),
    CONSTRAINT ck_checkouts_status CHECK (status IN ('open', 'paid', 'expired', 'failed', 'refund_due', 'refunded')),
    CONSTRAINT ck_checkouts_provider CHECK (provider IN ('sandbox', 'wechat')),
    CONSTRAINT ck_checkouts_amount CHECK (amount_minor > 0),
    CONSTRAINT ck_checkouts_pieces CHECK (quantity BETWEEN 1 AND 1000 AND reserved IN (0, quantity)),
    CONSTRAINT ck_checkouts_of_a_campaign CHECK (purpose = 'top_up' OR (campaign_id IS NOT NULL AND participant_id IS NOT NULL))
);
CREATE UNIQUE INDEX uq_checkouts_id ON checkouts (id);
CREATE UNIQUE INDEX uq_checkouts_external_id ON checkouts (merchant_id, provider, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX ix_checkouts_participant ON checkouts (merchant_id, participant_id, id);
CREATE INDEX ix_checkouts_open ON checkouts (merchant_id, expires_at) WHERE status = 'open';
CREATE INDEX ix_checkouts_refund_due ON checkouts (merchant_id, id) WHERE status = 'refund_due';
CREATE INDEX ix_checkouts_due ON checkouts (due_at) WHERE due_at IS NOT NULL;

-- A merchant's credentials with a provider, sealed.
CREATE TABLE payment_providers (
    merchant_id UUID NOT NULL,
    kind VARCHAR(16) NOT NULL,
    settings BYTEA NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_payment_providers PRIMARY KEY (merchant_id, kind),
    CONSTRAINT ck_payment_providers_kind CHECK (kind IN ('sandbox', 'wechat'))
);

CREATE TABLE payment_notices (
    merchant_id UUID NOT NULL,
    id UUID NOT NULL,
    provider VARCHAR(16) NOT NULL,
    code VARCHAR(64) NOT NULL,
    checkout_id VARCHAR(64),
    external_id VARCHAR(128),
    amount_minor BIGINT,
    currency VARCHAR(16),
    content_hash BYTEA NOT NULL,
    times INTEGER DEFAULT '1' NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_payment_notices PRIMARY KEY (merchant_id, id),
    CONSTRAINT ck_payment_notices_provider CHECK (provider IN ('sandbox', 'wechat'))
);
CREATE UNIQUE INDEX uq_payment_notices_content ON payment_notices (merchant_id, content_hash);

-- The books of the cashier that test tenants have.
CREATE TABLE sandbox_payments (
    merchant_id UUID NOT NULL,
    key VARCHAR(32) NOT NULL,
    amount_minor BIGINT NOT NULL,
    currency CHAR(3) NOT NULL,
    status VARCHAR(16) NOT NULL,
    settles_at TIMESTAMP WITH TIME ZONE,
    notify_at TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_sandbox_payments PRIMARY KEY (merchant_id, key),
    CONSTRAINT ck_sandbox_payments_status CHECK (status IN ('waiting', 'paid', 'failed', 'closed', 'refunded'))
);
CREATE INDEX ix_sandbox_payments_notify ON sandbox_payments (notify_at) WHERE notify_at IS NOT NULL;

-- Below zero: what was sold elsewhere and reported is more than there was. It is not sold here; it cannot be refused.
ALTER TABLE campaigns DROP CONSTRAINT ck_campaigns_stock;
-- Pieces of the campaign's stock that an order took, and that its full refund gives back.
ALTER TABLE orders ADD COLUMN pieces INTEGER DEFAULT '0' NOT NULL;

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['checkouts', 'payment_providers', 'payment_notices', 'sandbox_payments'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON %I TO invitree_app'
            ' USING (merchant_id = nullif(current_setting(''invitree.merchant_id'', true), '''')::uuid)', t);
        EXECUTE format('CREATE POLICY system ON %I TO invitree_system USING (true)', t);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE ON %I TO invitree_app, invitree_system', t);
    END LOOP;
END $$;
