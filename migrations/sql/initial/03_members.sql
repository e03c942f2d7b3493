CREATE TABLE members (
    merchant_id UUID NOT NULL,
    id UUID NOT NULL,
    external_id VARCHAR(128),
    phone BYTEA,
    phone_index BYTEA,
    phone_verified_at TIMESTAMP WITH TIME ZONE,
    openid BYTEA,
    openid_index BYTEA,
    unionid BYTEA,
    unionid_index BYTEA,
    nickname VARCHAR(64),
    avatar_url TEXT,
    avatar_asset_id UUID,
    metadata JSONB DEFAULT '{}' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_members PRIMARY KEY (merchant_id, id)
);
CREATE UNIQUE INDEX uq_members_external_id ON members (merchant_id, external_id) WHERE external_id IS NOT NULL;
CREATE UNIQUE INDEX uq_members_openid_index ON members (merchant_id, openid_index) WHERE openid_index IS NOT NULL;
CREATE UNIQUE INDEX uq_members_phone_index ON members (merchant_id, phone_index) WHERE phone_index IS NOT NULL;
CREATE UNIQUE INDEX uq_members_unionid_index ON members (merchant_id, unionid_index) WHERE unionid_index IS NOT NULL;
