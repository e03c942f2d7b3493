-- Whose account at the provider a payment was begun with, and who pays in WeChat where the member's openid is not known.
ALTER TABLE checkouts ADD COLUMN provider_account VARCHAR(160), ADD COLUMN payer_openid BYTEA;

-- Of a checkout without an order: a top-up, or money that bought nothing. `payback_round`: a refund that its provider has
-- closed is asked for by another key.
ALTER TABLE refunds
    ADD COLUMN checkout_id UUID,
    ADD COLUMN payback_reason VARCHAR(64),
    ADD COLUMN payback_round INTEGER DEFAULT '0' NOT NULL,
    ADD CONSTRAINT fk_refunds_merchant_id_checkout_id
        FOREIGN KEY(merchant_id, checkout_id) REFERENCES checkouts (merchant_id, id),
    DROP CONSTRAINT ck_refunds_applied_to_an_order,
    ADD CONSTRAINT ck_refunds_applied_to_something
        CHECK (status <> 'applied' OR (coalesce(order_id, checkout_id) IS NOT NULL AND currency IS NOT NULL)),
    DROP CONSTRAINT ck_refunds_payback,
    ADD CONSTRAINT ck_refunds_payback
        CHECK (payback IN ('due', 'processing', 'unknown', 'refused', 'parked', 'refunded', 'paid_otherwise'));
CREATE INDEX ix_refunds_checkout ON refunds (merchant_id, checkout_id) WHERE checkout_id IS NOT NULL;

-- Money that bought nothing was asked back by the checkout's own key: a refund of the same number has the same key.
INSERT INTO refunds (merchant_id, id, checkout_id, external_order_id, external_refund_id, content_hash, amount_minor, currency,
                     status, refunded_at, payback, due_at, attempts, created_at)
SELECT merchant_id, id, id, 'late ' || id, 'late ' || id, sha256(id::text::bytea), amount_minor, currency,
       'applied', paid_at, 'due', coalesce(due_at, paid_at), attempts, paid_at
FROM checkouts WHERE status = 'refund_due';
UPDATE checkouts SET due_at = NULL, leased_until = NULL WHERE status = 'refund_due';

CREATE TABLE payback_decisions (
    merchant_id UUID NOT NULL,
    refund_id UUID NOT NULL,
    outcome VARCHAR(16) NOT NULL,
    reason TEXT NOT NULL,
    evidence TEXT NOT NULL,
    asked_by UUID NOT NULL,
    asked_at TIMESTAMP WITH TIME ZONE NOT NULL,
    confirmed_by UUID,
    confirmed_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_payback_decisions PRIMARY KEY (merchant_id, refund_id),
    CONSTRAINT fk_payback_decisions_merchant_id_refund_id FOREIGN KEY(merchant_id, refund_id) REFERENCES refunds (merchant_id, id),
    CONSTRAINT ck_payback_decisions_outcome CHECK (outcome IN ('paid_otherwise', 'try_again')),
    CONSTRAINT ck_payback_decisions_two_people CHECK (confirmed_by <> asked_by),
    CONSTRAINT ck_payback_decisions_confirmed CHECK ((confirmed_by IS NULL) = (confirmed_at IS NULL))
);
ALTER TABLE payback_decisions ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON payback_decisions TO invitree_app
    USING (merchant_id = nullif(current_setting('invitree.merchant_id', true), '')::uuid);
CREATE POLICY system ON payback_decisions TO invitree_system USING (true);
GRANT SELECT, INSERT, UPDATE ON payback_decisions TO invitree_app, invitree_system;
