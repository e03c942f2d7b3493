CREATE TABLE assets (
    merchant_id UUID NOT NULL,
    id UUID NOT NULL,
    purpose VARCHAR(16) NOT NULL,
    content_type VARCHAR(32) NOT NULL,
    digest BYTEA NOT NULL,
    content BYTEA NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_assets PRIMARY KEY (merchant_id, id)
);
CREATE UNIQUE INDEX uq_assets_digest ON assets (merchant_id, purpose, digest);

CREATE TABLE poster_templates (
    merchant_id UUID NOT NULL,
    id UUID NOT NULL,
    name VARCHAR(80) NOT NULL,
    version INTEGER DEFAULT '1' NOT NULL,
    document JSONB NOT NULL,
    warnings JSONB DEFAULT '[]' NOT NULL,
    metadata JSONB DEFAULT '{}' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_poster_templates PRIMARY KEY (merchant_id, id)
);
