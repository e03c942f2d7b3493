-- Who may do what. `invitree_app` serves merchants and participants, one tenant a transaction; `invitree_system` does
-- what crosses tenants by nature. Neither owns a table, is a superuser or bypasses row-level security.
DO $$
DECLARE
    missing text;
    tenant_tables text[] := ARRAY(
        SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'merchant_id'
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND NOT c.relispartition
              AND c.relname NOT IN ('event_keys'));
    t text;
BEGIN
    SELECT string_agg(r, ', ') INTO missing FROM unnest(ARRAY['invitree_app', 'invitree_system']) r
        WHERE NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = r);
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'the roles of the runtime are missing: %', missing
            USING HINT = 'create them first, as docs/operations.md shows: CREATE ROLE invitree_app LOGIN PASSWORD …';
    END IF;
    FOREACH t IN ARRAY tenant_tables LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON %I TO invitree_app'
            ' USING (merchant_id = nullif(current_setting(''invitree.merchant_id'', true), '''')::uuid)', t);
        EXECUTE format('CREATE POLICY system ON %I TO invitree_system USING (true)', t);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE ON %I TO invitree_app, invitree_system', t);
    END LOOP;
END $$;

ALTER TABLE merchants ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON merchants TO invitree_app
    USING (id = nullif(current_setting('invitree.merchant_id', true), '')::uuid);
CREATE POLICY system ON merchants TO invitree_system USING (true);
GRANT SELECT ON merchants TO invitree_app;
-- Plan, proof of the phone and the rest of what a merchant is are the system's to change; a test clock is its owner's.
GRANT UPDATE (clock_offset_seconds) ON merchants TO invitree_app;
GRANT SELECT, INSERT, UPDATE ON merchants TO invitree_system;
GRANT SELECT ON plans TO invitree_app, invitree_system;
-- `invitree doctor` compares it with the newest version. Alembic makes the table before the first migration.
GRANT SELECT ON alembic_version TO invitree_app, invitree_system;

-- Append-only: facts are corrected by further facts. Balances are moved by the ledger's trigger alone.
REVOKE UPDATE ON ledger_entries, ledger_transactions, ledger_accounts, membership_grants, audit_entries, campaign_rules,
    payout_batch_files FROM invitree_app, invitree_system;
-- What was earned, by whom and for what, never changes; where it stands does.
REVOKE UPDATE ON commissions FROM invitree_app, invitree_system;
GRANT UPDATE (status, withdrawal_id) ON commissions TO invitree_app, invitree_system;
-- Triggers run without this right; making one takes it. With it a role could hang the owner's function on a temporary
-- table of its own, and move the balances of any merchant.
REVOKE ALL ON FUNCTION ledger_entries_added(), ledger_accounts_open_empty() FROM PUBLIC;

GRANT DELETE ON idempotency_keys, phone_codes, webhook_endpoints, webhook_deliveries TO invitree_app, invitree_system;
GRANT DELETE ON participant_totals, participant_visitors, counter_repairs TO invitree_system;
GRANT SELECT, INSERT, UPDATE, DELETE ON tracked_events, event_keys, stream_positions TO invitree_system;
GRANT EXECUTE ON FUNCTION ensure_event_partitions(date, integer), forget_event_origins(date) TO invitree_system;
GRANT USAGE ON SEQUENCE participant_numbers TO invitree_app, invitree_system;

-- SELECT … FOR UPDATE asks for the UPDATE privilege on at least one column: this one locks an account and changes none.
GRANT UPDATE (created_at) ON ledger_accounts TO invitree_app, invitree_system;
