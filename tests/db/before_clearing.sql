-- A shop of the time before clearing accounts: one order partly refunded and one whole, commissions against the
-- merchant, and a buyer who had another inviter when it paid.
INSERT INTO merchants (id, livemode, name) VALUES (uuid(1), false, '旧书社');
INSERT INTO campaigns (merchant_id, id, name, kind, status) VALUES (uuid(1), uuid(2), '旧', 'distribution', 'active');
INSERT INTO members (merchant_id, id) SELECT uuid(1), uuid(n) FROM generate_series(11, 13) n;
INSERT INTO participants (merchant_id, id, campaign_id, member_id, invite_code, inviter_id, depth, path)
    SELECT uuid(1), uuid(n + 10), uuid(2), uuid(n), 'aaaaaa' || n, CASE n WHEN 13 THEN uuid(22) END,
           CASE n WHEN 13 THEN 1 ELSE 0 END, n::text
    FROM generate_series(11, 13) n;
INSERT INTO past_bindings (merchant_id, id, invitee_id, inviter_id, replaced_at)
    VALUES (uuid(1), uuid(30), uuid(23), uuid(21), '2026-01-10Z');
INSERT INTO orders (merchant_id, id, campaign_id, participant_id, member_id, inviter_id, external_order_id, content_hash,
                    amount_minor, refunded_minor, status, currency, paid_at, rule_version, rule, explanation)
    VALUES (uuid(1), uuid(41), uuid(2), uuid(23), uuid(13), uuid(22), 'o-1', '', 5900, 1000, 'partly_refunded', 'CNY',
            '2026-01-09Z', 1, '{}', '[]'),
           (uuid(1), uuid(42), uuid(2), uuid(23), uuid(13), uuid(22), 'o-2', '', 100, 0, 'paid', 'CNY',
            '2026-01-11Z', 1, '{}', '[]');
INSERT INTO order_lines (merchant_id, id, order_id, external_line_id, amount_minor, refunded_minor)
    VALUES (uuid(1), uuid(51), uuid(41), 'whole', 5900, 1000), (uuid(1), uuid(52), uuid(42), 'whole', 100, 0);
INSERT INTO refunds (merchant_id, id, order_id, external_order_id, external_refund_id, content_hash, amount_minor, currency,
                     status, refunded_at)
    VALUES (uuid(1), uuid(61), uuid(41), 'o-1', 'r-1', '', 1000, 'CNY', 'applied', '2026-01-12Z'),
           (uuid(1), uuid(62), NULL, 'o-9', 'r-9', '', 5, NULL, 'parked', '2026-01-12Z');
INSERT INTO commissions (merchant_id, id, campaign_id, order_id, line_id, level, beneficiary_id, member_id, amount_minor,
                         currency, base_minor, rule_version, status, reverses_id, refund_id)
    VALUES (uuid(1), uuid(71), uuid(2), uuid(41), uuid(51), 1, uuid(21), uuid(11), 1770, 'CNY', 5900, 1, 'held', NULL, NULL),
           (uuid(1), uuid(72), uuid(2), uuid(41), uuid(51), 1, uuid(21), uuid(11), -300, 'CNY', 5900, 1, 'payable', uuid(71),
            uuid(61));
INSERT INTO ledger_accounts (merchant_id, id, kind, member_id, currency, balance_minor)
    VALUES (uuid(1), uuid(81), 'member_held', uuid(11), 'CNY', 0),
           (uuid(1), uuid(82), 'member_payable', uuid(11), 'CNY', 0),
           (uuid(1), uuid(83), 'merchant_commission', NULL, 'CNY', NULL);
INSERT INTO ledger_transactions (merchant_id, id, kind, reference, occurred_at)
    VALUES (uuid(1), uuid(91), 'commission_earned', 'first', '2026-01-09Z'),
           (uuid(1), uuid(92), 'commission_reversed', 'second', '2026-01-12Z');
INSERT INTO ledger_entries (merchant_id, transaction_id, account_id, amount_minor, currency)
    VALUES (uuid(1), uuid(91), uuid(83), -1770, 'CNY'), (uuid(1), uuid(91), uuid(81), 1770, 'CNY'),
           (uuid(1), uuid(92), uuid(83), 300, 'CNY'), (uuid(1), uuid(92), uuid(82), -300, 'CNY');
