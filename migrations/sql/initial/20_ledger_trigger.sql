-- Zero-sum and balances are held here, by the owner's hand, so that no application code can get them wrong: the runtime
-- roles may insert entries and nothing else. All legs of a transaction must come in one statement.
CREATE FUNCTION ledger_entries_added() RETURNS trigger
    -- pg_temp last: else a temporary table of a caller's could stand in for a real one.
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM added GROUP BY merchant_id, transaction_id, currency HAVING sum(amount_minor) <> 0) THEN
        RAISE EXCEPTION 'the legs of a ledger transaction do not sum to zero'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_entries_zero_sum', TABLE = 'ledger_entries';
    END IF;
    IF EXISTS (SELECT 1 FROM added e JOIN ledger_accounts a ON a.merchant_id = e.merchant_id AND a.id = e.account_id
               WHERE a.currency <> e.currency) THEN
        RAISE EXCEPTION 'an entry has another currency than its account'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_entries_currency', TABLE = 'ledger_entries';
    END IF;
    -- Locked in one order first: two transactions over the same accounts must not wait for each other. NO KEY, because
    -- both hold the key-share lock of the entries' foreign key by now, and neither could get past the other's.
    PERFORM 1 FROM ledger_accounts a
        WHERE a.balance_minor IS NOT NULL AND (a.merchant_id, a.id) IN (SELECT merchant_id, account_id FROM added)
        ORDER BY a.merchant_id, a.id FOR NO KEY UPDATE;
    UPDATE ledger_accounts a SET balance_minor = a.balance_minor + moved.amount
        FROM (SELECT merchant_id, account_id, sum(amount_minor)::bigint AS amount FROM added GROUP BY 1, 2) moved
        WHERE a.merchant_id = moved.merchant_id AND a.id = moved.account_id AND a.balance_minor IS NOT NULL;
    RETURN NULL;
END $$;

CREATE TRIGGER ledger_entries_added AFTER INSERT ON ledger_entries
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION ledger_entries_added();

-- Money appears by entries only: an account opens empty.
CREATE FUNCTION ledger_accounts_open_empty() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NEW.balance_minor <> 0 THEN
        RAISE EXCEPTION 'a ledger account opens with a balance of zero'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_accounts_open_empty', TABLE = 'ledger_accounts';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER ledger_accounts_open_empty BEFORE INSERT ON ledger_accounts
    FOR EACH ROW EXECUTE FUNCTION ledger_accounts_open_empty();
