CREATE TABLE webhook_endpoints (
    merchant_id UUID NOT NULL,
    id UUID NOT NULL,
    url TEXT NOT NULL,
    secret BYTEA NOT NULL,
    types TEXT[] NOT NULL,
    disabled_at TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_webhook_endpoints PRIMARY KEY (merchant_id, id)
);

CREATE TABLE webhook_deliveries (
    merchant_id UUID NOT NULL,
    id UUID NOT NULL,
    endpoint_id UUID NOT NULL,
    event_id UUID NOT NULL,
    status VARCHAR(16) DEFAULT 'pending' NOT NULL,
    attempts SMALLINT DEFAULT '0' NOT NULL,
    next_attempt_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    last_status SMALLINT,
    last_error TEXT,
    delivered_at TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_webhook_deliveries PRIMARY KEY (merchant_id, id),
    CONSTRAINT fk_webhook_deliveries_merchant_id_endpoint_id FOREIGN KEY(merchant_id, endpoint_id) REFERENCES webhook_endpoints (merchant_id, id),
    CONSTRAINT fk_webhook_deliveries_merchant_id_event_id FOREIGN KEY(merchant_id, event_id) REFERENCES outbox_events (merchant_id, id)
);
CREATE INDEX ix_webhook_deliveries_due ON webhook_deliveries (next_attempt_at) WHERE status = 'pending';
CREATE UNIQUE INDEX uq_webhook_deliveries_event ON webhook_deliveries (merchant_id, endpoint_id, event_id);
