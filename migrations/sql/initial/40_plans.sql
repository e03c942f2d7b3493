INSERT INTO plans (key, name, platform_fee_bps, price_minor, days) VALUES
    ('free', '免费版', 100, 0, 0),
    ('pro', '专业版', 60, 99900, 365);
