DELETE FROM ledger_entries e USING ledger_transactions t
    WHERE t.merchant_id = e.merchant_id AND t.id = e.transaction_id AND t.kind = 'payout_fee_borne';
DELETE FROM ledger_transactions WHERE kind = 'payout_fee_borne';
ALTER TABLE commissions DROP COLUMN reason;
ALTER TABLE order_lines DROP COLUMN named_minor;
