DROP TABLE payout_decisions, payout_settings;
ALTER TABLE payouts DROP COLUMN rail_account;
ALTER TABLE payout_batches DROP COLUMN requested_before;
ALTER TABLE withdrawals DROP COLUMN fee_minor, DROP COLUMN fee_bearer;

-- A fee that was withheld counts as paid to the member again, who bore it.
CREATE TEMPORARY TABLE fees ON COMMIT DROP AS
    SELECT e.merchant_id, e.transaction_id, sum(e.amount_minor) AS amount FROM ledger_entries e
    JOIN ledger_accounts a ON a.merchant_id = e.merchant_id AND a.id = e.account_id
    WHERE a.kind = 'payout_fees' GROUP BY 1, 2;
UPDATE ledger_accounts a SET balance_minor = a.balance_minor + owed.amount
FROM (SELECT e.merchant_id, e.account_id, sum(f.amount)::bigint AS amount
      FROM fees f JOIN ledger_entries e ON e.merchant_id = f.merchant_id AND e.transaction_id = f.transaction_id
      JOIN ledger_accounts p ON p.merchant_id = e.merchant_id AND p.id = e.account_id AND p.kind = 'member_paid'
      GROUP BY 1, 2) owed
WHERE a.merchant_id = owed.merchant_id AND a.id = owed.account_id;
UPDATE ledger_entries e SET amount_minor = e.amount_minor + f.amount
FROM fees f, ledger_accounts a
WHERE e.merchant_id = f.merchant_id AND e.transaction_id = f.transaction_id AND a.merchant_id = e.merchant_id
      AND a.id = e.account_id AND a.kind = 'member_paid';
DELETE FROM ledger_entries e USING ledger_accounts a
    WHERE a.merchant_id = e.merchant_id AND a.id = e.account_id AND a.kind = 'payout_fees';
DELETE FROM ledger_accounts WHERE kind = 'payout_fees';
ALTER TABLE ledger_accounts DROP CONSTRAINT ck_ledger_accounts_kind;
ALTER TABLE ledger_accounts ADD CONSTRAINT ck_ledger_accounts_kind CHECK (kind IN (
    'member_pending', 'member_held', 'member_payable', 'member_in_payout', 'member_paid', 'order_clearing',
    'merchant_commission', 'merchant_sales', 'merchant_proceeds', 'platform_fee', 'merchant_deposits',
    'customer_payments', 'merchant_funds', 'merchant_funds_reserved', 'funds_spent'));
