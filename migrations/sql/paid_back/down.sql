REVOKE UPDATE (ended_at) ON plan_purchases FROM invitree_system;
ALTER TABLE plan_purchases DROP COLUMN ended_at;
ALTER TABLE sandbox_payments DROP COLUMN refunds;
ALTER TABLE refunds
    DROP COLUMN payback, DROP COLUMN paid_back_at, DROP COLUMN due_at, DROP COLUMN attempts, DROP COLUMN leased_until;
