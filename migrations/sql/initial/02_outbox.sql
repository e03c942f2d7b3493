CREATE TABLE outbox_events (
    merchant_id UUID NOT NULL,
    id UUID NOT NULL,
    type VARCHAR(64) NOT NULL,
    data JSONB NOT NULL,
    status VARCHAR(16) DEFAULT 'pending' NOT NULL,
    attempts SMALLINT DEFAULT '0' NOT NULL,
    occurred_at TIMESTAMP WITH TIME ZONE NOT NULL,
    available_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    done_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_outbox_events PRIMARY KEY (merchant_id, id)
);
CREATE INDEX ix_outbox_events_due ON outbox_events (available_at) WHERE status = 'pending';
