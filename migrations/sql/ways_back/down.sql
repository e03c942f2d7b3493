DROP TABLE payback_decisions;
UPDATE checkouts c SET due_at = r.due_at FROM refunds r
WHERE c.status = 'refund_due' AND r.merchant_id = c.merchant_id AND r.checkout_id = c.id;
DELETE FROM refunds WHERE checkout_id IS NOT NULL;
UPDATE refunds SET payback = 'unknown' WHERE payback IN ('parked', 'paid_otherwise');
ALTER TABLE refunds
    DROP CONSTRAINT ck_refunds_payback,
    ADD CONSTRAINT ck_refunds_payback CHECK (payback IN ('due', 'processing', 'unknown', 'refused', 'refunded')),
    DROP CONSTRAINT ck_refunds_applied_to_something,
    ADD CONSTRAINT ck_refunds_applied_to_an_order
        CHECK (status <> 'applied' OR (order_id IS NOT NULL AND currency IS NOT NULL)),
    DROP COLUMN checkout_id, DROP COLUMN payback_reason, DROP COLUMN payback_round;
ALTER TABLE checkouts DROP COLUMN provider_account, DROP COLUMN payer_openid;
