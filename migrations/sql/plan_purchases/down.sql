DROP TABLE plan_purchases;
ALTER TABLE merchants DROP COLUMN funding;
INSERT INTO plans (key, name, platform_fee_bps, price_minor, days) VALUES ('pro', '专业版', 60, 99900, 365);
UPDATE merchants SET plan = 'pro' WHERE plan IN ('pro_month', 'pro_year');
DELETE FROM plans WHERE key IN ('pro_month', 'pro_year');
ALTER TABLE plans DROP CONSTRAINT ck_plans_price, DROP CONSTRAINT ck_plans_platform_fee, DROP COLUMN created_at;
