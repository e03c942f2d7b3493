-- Plans on offer: without a price, or with days for it.
ALTER TABLE plans
    ADD COLUMN created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    ADD CONSTRAINT ck_plans_platform_fee CHECK (platform_fee_bps BETWEEN 0 AND 10000),
    ADD CONSTRAINT ck_plans_price CHECK (price_minor >= 0 AND days >= 0 AND (price_minor > 0) = (days > 0));
INSERT INTO plans (key, name, platform_fee_bps, price_minor, days) VALUES
    ('pro_month', '专业版（月）', 60, 9900, 30),
    ('pro_year', '专业版（年）', 40, 99000, 365);
UPDATE merchants SET plan = 'pro_year' WHERE plan = 'pro';
DELETE FROM plans WHERE key = 'pro';

ALTER TABLE merchants
    ADD COLUMN funding VARCHAR(8) DEFAULT 'own' NOT NULL,
    ADD CONSTRAINT ck_merchants_funding CHECK (funding IN ('own', 'prepaid'));

-- What was bought of them, on the terms of that day.
CREATE TABLE plan_purchases (
    merchant_id UUID NOT NULL,
    id UUID NOT NULL,
    plan VARCHAR(32) NOT NULL,
    platform_fee_bps INTEGER NOT NULL,
    days INTEGER NOT NULL,
    amount_minor BIGINT NOT NULL,
    currency CHAR(3) NOT NULL,
    bought_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_plan_purchases PRIMARY KEY (merchant_id, id),
    CONSTRAINT ck_plan_purchases_terms CHECK (days > 0 AND amount_minor > 0)
);
ALTER TABLE plan_purchases ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON plan_purchases TO invitree_app
    USING (merchant_id = nullif(current_setting('invitree.merchant_id', true), '')::uuid);
CREATE POLICY system ON plan_purchases TO invitree_system USING (true);
-- The platform sells: a merchant's own sessions can only read what it has bought.
GRANT SELECT ON plan_purchases TO invitree_app;
GRANT SELECT, INSERT ON plan_purchases TO invitree_system;
