-- Refunds of what was paid on our own page go back by its provider. Those of before were given back by the merchant.
ALTER TABLE refunds
    ADD COLUMN payback VARCHAR(16),
    ADD COLUMN paid_back_at TIMESTAMP WITH TIME ZONE,
    ADD COLUMN due_at TIMESTAMP WITH TIME ZONE,
    ADD COLUMN attempts INTEGER DEFAULT '0' NOT NULL,
    ADD COLUMN leased_until TIMESTAMP WITH TIME ZONE,
    ADD CONSTRAINT ck_refunds_payback CHECK (payback IN ('due', 'processing', 'unknown', 'refused', 'refunded'));
CREATE INDEX ix_refunds_due ON refunds (due_at) WHERE due_at IS NOT NULL;

-- What the cashier gave back of a payment, by the key it was asked with.
ALTER TABLE sandbox_payments ADD COLUMN refunds JSONB DEFAULT '{}' NOT NULL;

-- Since when a plan whose sale was refunded is in force no more.
ALTER TABLE plan_purchases ADD COLUMN ended_at TIMESTAMP WITH TIME ZONE;
GRANT UPDATE (ended_at) ON plan_purchases TO invitree_system;
