DROP TRIGGER commissions_are_held ON commissions;
DROP TRIGGER commissions_are_held_on ON commissions;
DROP FUNCTION commissions_are_held();
DROP TABLE commission_holds;
ALTER TABLE commissions RESET (fillfactor);
DROP INDEX ix_commissions_member, ix_commissions_withdrawal;
CREATE INDEX ix_commissions_withdrawal ON commissions (merchant_id, withdrawal_id);
CREATE INDEX ix_commissions_member ON commissions (merchant_id, member_id, status);
CREATE INDEX ix_commissions_hold ON commissions (merchant_id, hold_until) WHERE status = 'held';
