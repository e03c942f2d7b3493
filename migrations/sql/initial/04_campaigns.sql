CREATE TABLE campaigns (
    merchant_id UUID NOT NULL,
    id UUID NOT NULL,
    name VARCHAR(120) NOT NULL,
    kind VARCHAR(24) NOT NULL,
    status VARCHAR(16) DEFAULT 'draft' NOT NULL,
    starts_at TIMESTAMP WITH TIME ZONE,
    ends_at TIMESTAMP WITH TIME ZONE,
    product_name VARCHAR(120),
    price_minor BIGINT,
    currency CHAR(3) DEFAULT 'CNY' NOT NULL,
    stock INTEGER,
    rule_version INTEGER DEFAULT '1' NOT NULL,
    budget_minor BIGINT,
    landing JSONB DEFAULT '{}' NOT NULL,
    rules_text TEXT,
    poster_template_ids JSONB DEFAULT '[]' NOT NULL,
    cloned_from_id UUID,
    due_at TIMESTAMP WITH TIME ZONE GENERATED ALWAYS AS (
        CASE WHEN status = 'scheduled' THEN LEAST(starts_at, ends_at)
             WHEN status = 'active' OR status = 'paused' THEN ends_at END) STORED,
    published_at TIMESTAMP WITH TIME ZONE,
    ended_at TIMESTAMP WITH TIME ZONE,
    metadata JSONB DEFAULT '{}' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_campaigns PRIMARY KEY (merchant_id, id),
    CONSTRAINT ck_campaigns_kind CHECK (kind IN ('distribution', 'refer_a_friend', 'milestone', 'leaderboard', 'deposit')),
    CONSTRAINT ck_campaigns_status CHECK (status IN ('draft', 'scheduled', 'active', 'paused', 'ended', 'settled')),
    CONSTRAINT ck_campaigns_dates CHECK (ends_at IS NULL OR starts_at IS NULL OR ends_at > starts_at),
    CONSTRAINT ck_campaigns_price CHECK (price_minor IS NULL OR price_minor >= 0),
    CONSTRAINT ck_campaigns_stock CHECK (stock IS NULL OR stock >= 0)
);
CREATE INDEX ix_campaigns_due_at ON campaigns (due_at);
CREATE INDEX ix_campaigns_merchant_id_due_at ON campaigns (merchant_id, due_at);
CREATE UNIQUE INDEX uq_campaigns_id ON campaigns (id);

CREATE TABLE campaign_rules (
    merchant_id UUID NOT NULL,
    campaign_id UUID NOT NULL,
    version INTEGER NOT NULL,
    document JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_campaign_rules PRIMARY KEY (merchant_id, campaign_id, version),
    CONSTRAINT fk_campaign_rules_merchant_id_campaign_id FOREIGN KEY(merchant_id, campaign_id) REFERENCES campaigns (merchant_id, id)
);
