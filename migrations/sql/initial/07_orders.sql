CREATE TABLE orders (
    merchant_id UUID NOT NULL,
    id UUID NOT NULL,
    campaign_id UUID NOT NULL,
    participant_id UUID NOT NULL,
    member_id UUID NOT NULL,
    external_order_id VARCHAR(128) NOT NULL,
    content_hash BYTEA NOT NULL,
    amount_minor BIGINT NOT NULL,
    refunded_minor BIGINT DEFAULT '0' NOT NULL,
    shipping_minor BIGINT DEFAULT '0' NOT NULL,
    tax_minor BIGINT DEFAULT '0' NOT NULL,
    currency CHAR(3) NOT NULL,
    status VARCHAR(16) DEFAULT 'paid' NOT NULL,
    paid_at TIMESTAMP WITH TIME ZONE NOT NULL,
    rule_version INTEGER NOT NULL,
    rule JSONB NOT NULL,
    explanation JSONB NOT NULL,
    metadata JSONB DEFAULT '{}' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_orders PRIMARY KEY (merchant_id, id),
    CONSTRAINT fk_orders_merchant_id_campaign_id FOREIGN KEY(merchant_id, campaign_id) REFERENCES campaigns (merchant_id, id),
    CONSTRAINT fk_orders_merchant_id_participant_id FOREIGN KEY(merchant_id, participant_id) REFERENCES participants (merchant_id, id),
    CONSTRAINT ck_orders_status CHECK (status IN ('paid', 'partly_refunded', 'refunded')),
    CONSTRAINT ck_orders_amounts CHECK (amount_minor > 0 AND refunded_minor BETWEEN 0 AND amount_minor)
);
CREATE INDEX ix_orders_campaign ON orders (merchant_id, campaign_id, id);
CREATE INDEX ix_orders_participant ON orders (merchant_id, participant_id, id);
CREATE UNIQUE INDEX uq_orders_external_order_id ON orders (merchant_id, external_order_id);

CREATE TABLE order_lines (
    merchant_id UUID NOT NULL,
    id UUID NOT NULL,
    order_id UUID NOT NULL,
    external_line_id VARCHAR(128) NOT NULL,
    product VARCHAR(120),
    amount_minor BIGINT NOT NULL,
    refunded_minor BIGINT DEFAULT '0' NOT NULL,
    CONSTRAINT pk_order_lines PRIMARY KEY (merchant_id, id),
    CONSTRAINT fk_order_lines_merchant_id_order_id FOREIGN KEY(merchant_id, order_id) REFERENCES orders (merchant_id, id),
    CONSTRAINT ck_order_lines_amounts CHECK (amount_minor >= 0 AND refunded_minor BETWEEN 0 AND amount_minor)
);
CREATE UNIQUE INDEX uq_order_lines_external ON order_lines (merchant_id, order_id, external_line_id);

CREATE TABLE refunds (
    merchant_id UUID NOT NULL,
    id UUID NOT NULL,
    order_id UUID,
    external_order_id VARCHAR(128) NOT NULL,
    external_refund_id VARCHAR(128) NOT NULL,
    content_hash BYTEA NOT NULL,
    amount_minor BIGINT NOT NULL,
    currency CHAR(3),
    lines JSONB DEFAULT '[]' NOT NULL,
    status VARCHAR(16) NOT NULL,
    refusal VARCHAR(64),
    refunded_at TIMESTAMP WITH TIME ZONE NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_refunds PRIMARY KEY (merchant_id, id),
    CONSTRAINT fk_refunds_merchant_id_order_id FOREIGN KEY(merchant_id, order_id) REFERENCES orders (merchant_id, id),
    CONSTRAINT ck_refunds_status CHECK (status IN ('parked', 'applied', 'refused')),
    CONSTRAINT ck_refunds_amount CHECK (amount_minor > 0),
    CONSTRAINT ck_refunds_applied_to_an_order CHECK (status <> 'applied' OR (order_id IS NOT NULL AND currency IS NOT NULL))
);
CREATE INDEX ix_refunds_order ON refunds (merchant_id, order_id);
CREATE INDEX ix_refunds_parked ON refunds (merchant_id, external_order_id) WHERE status = 'parked';
CREATE UNIQUE INDEX uq_refunds_external_refund_id ON refunds (merchant_id, external_refund_id);
