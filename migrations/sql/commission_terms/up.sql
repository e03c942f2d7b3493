-- What has been earned, refunds taken off: kept while there is a budget, so that no order need add it up.
ALTER TABLE campaigns ADD COLUMN commission_minor BIGINT DEFAULT '0' NOT NULL,
    ADD CONSTRAINT ck_campaigns_commission CHECK (commission_minor >= 0);
UPDATE campaigns c SET commission_minor = earned.minor
FROM (SELECT o.merchant_id, o.campaign_id, sum(m.amount_minor) AS minor
      FROM orders o JOIN commissions m ON m.merchant_id = o.merchant_id AND m.order_id = o.id
      WHERE m.status <> 'rejected' GROUP BY 1, 2) earned
WHERE c.merchant_id = earned.merchant_id AND c.id = earned.campaign_id AND c.budget_minor IS NOT NULL;

-- Whose friend the buyer was when it paid. Of orders from before nothing better is known than who is the inviter now.
ALTER TABLE orders ADD COLUMN inviter_id UUID,
    ADD CONSTRAINT fk_orders_merchant_id_inviter_id FOREIGN KEY (merchant_id, inviter_id)
        REFERENCES participants (merchant_id, id) NOT VALID;
UPDATE orders o SET inviter_id = p.inviter_id FROM participants p
WHERE p.merchant_id = o.merchant_id AND p.id = o.participant_id AND p.inviter_id IS NOT NULL;
ALTER TABLE orders VALIDATE CONSTRAINT fk_orders_merchant_id_inviter_id;
CREATE INDEX ix_orders_inviter ON orders (merchant_id, inviter_id) INCLUDE (status, amount_minor, refunded_minor)
    WHERE inviter_id IS NOT NULL;
