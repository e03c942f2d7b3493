CREATE TABLE api_keys (
    merchant_id UUID NOT NULL,
    id UUID NOT NULL,
    name VARCHAR(80) DEFAULT 'default' NOT NULL,
    hash BYTEA NOT NULL,
    last4 VARCHAR(4) NOT NULL,
    scopes TEXT[] DEFAULT '{*}' NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE,
    revoked_at TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_api_keys PRIMARY KEY (merchant_id, id)
);
CREATE UNIQUE INDEX uq_api_keys_hash ON api_keys (hash);

CREATE TABLE audit_entries (
    merchant_id UUID NOT NULL,
    id UUID NOT NULL,
    actor VARCHAR(64) NOT NULL,
    action VARCHAR(64) NOT NULL,
    subject_id VARCHAR(64) NOT NULL,
    reason TEXT,
    detail JSONB DEFAULT '{}' NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_audit_entries PRIMARY KEY (merchant_id, id)
);
CREATE INDEX ix_audit_entries_subject ON audit_entries (merchant_id, subject_id);

CREATE TABLE idempotency_keys (
    merchant_id UUID NOT NULL,
    key VARCHAR(255) NOT NULL,
    request_hash BYTEA NOT NULL,
    status SMALLINT NOT NULL,
    body BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_idempotency_keys PRIMARY KEY (merchant_id, key)
);

CREATE TABLE merchant_users (
    merchant_id UUID NOT NULL,
    id UUID NOT NULL,
    name VARCHAR(80) NOT NULL,
    role VARCHAR(16) NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_merchant_users PRIMARY KEY (merchant_id, id),
    CONSTRAINT ck_merchant_users_role CHECK (role IN ('owner', 'operator', 'finance', 'viewer'))
);

CREATE TABLE merchants (
    id UUID NOT NULL,
    livemode BOOLEAN NOT NULL,
    twin_id UUID,
    is_house BOOLEAN DEFAULT false NOT NULL,
    name VARCHAR(120) NOT NULL,
    phone BYTEA,
    phone_index BYTEA,
    email BYTEA,
    email_index BYTEA,
    plan VARCHAR(32) DEFAULT 'free' NOT NULL,
    verified_at TIMESTAMP WITH TIME ZONE,
    clock_offset_seconds INTEGER DEFAULT '0' NOT NULL,
    house_member_id UUID,
    house_participant_id UUID,
    invite_code VARCHAR(8),
    metadata JSONB DEFAULT '{}' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_merchants PRIMARY KEY (id),
    CONSTRAINT ck_merchants_live_clock_is_real CHECK (livemode = (clock_offset_seconds = 0) OR NOT livemode)
);
CREATE UNIQUE INDEX uq_merchants_email_index ON merchants (email_index) WHERE livemode AND email_index IS NOT NULL;
CREATE UNIQUE INDEX uq_merchants_house ON merchants (livemode) WHERE is_house;
CREATE UNIQUE INDEX uq_merchants_phone_index ON merchants (phone_index) WHERE livemode AND phone_index IS NOT NULL;

CREATE TABLE phone_codes (
    merchant_id UUID NOT NULL,
    subject_index BYTEA NOT NULL,
    purpose VARCHAR(32) NOT NULL,
    code_hash BYTEA NOT NULL,
    attempts SMALLINT DEFAULT '0' NOT NULL,
    sends SMALLINT DEFAULT '1' NOT NULL,
    sent_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    used_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_phone_codes PRIMARY KEY (merchant_id, subject_index, purpose)
);

CREATE TABLE plans (
    key VARCHAR(32) NOT NULL,
    name VARCHAR(80) NOT NULL,
    platform_fee_bps INTEGER NOT NULL,
    price_minor INTEGER NOT NULL,
    days INTEGER NOT NULL,
    CONSTRAINT pk_plans PRIMARY KEY (key)
);
