-- A settlement changes nothing of a commission but its status. As long as an index reads that, each row it changes is a
-- new entry in all of them; with none that does, and room on the row's own page, it is one write. So what is held is
-- found by a table of its own, and what is not paid out by the withdrawal that it does not have.
CREATE TABLE commission_holds (
    merchant_id UUID NOT NULL,
    hold_until TIMESTAMP WITH TIME ZONE NOT NULL,
    commission_id UUID NOT NULL,
    member_id UUID NOT NULL,
    currency CHAR(3) NOT NULL,
    CONSTRAINT pk_commission_holds PRIMARY KEY (merchant_id, hold_until, commission_id)
);
-- What is earned from here on meets the triggers.
LOCK TABLE commissions IN ACCESS EXCLUSIVE MODE;
INSERT INTO commission_holds (merchant_id, hold_until, commission_id, member_id, currency)
    SELECT merchant_id, hold_until, id, member_id, currency FROM commissions
    WHERE status = 'held' AND hold_until IS NOT NULL;

DROP INDEX ix_commissions_hold, ix_commissions_member, ix_commissions_withdrawal;
CREATE INDEX ix_commissions_member ON commissions (merchant_id, member_id, withdrawal_id);
CREATE INDEX ix_commissions_withdrawal ON commissions (merchant_id, withdrawal_id) WHERE withdrawal_id IS NOT NULL;
ALTER TABLE commissions SET (fillfactor = 50);

-- By the owner's hand: nobody who writes a commission can forget it.
CREATE FUNCTION commissions_are_held() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        DELETE FROM commission_holds h
            WHERE h.merchant_id = OLD.merchant_id AND h.hold_until = OLD.hold_until AND h.commission_id = OLD.id;
    END IF;
    IF NEW.status = 'held' AND NEW.hold_until IS NOT NULL THEN
        INSERT INTO commission_holds (merchant_id, hold_until, commission_id, member_id, currency)
            VALUES (NEW.merchant_id, NEW.hold_until, NEW.id, NEW.member_id, NEW.currency);
    END IF;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION commissions_are_held() FROM PUBLIC;
CREATE TRIGGER commissions_are_held AFTER INSERT ON commissions
    FOR EACH ROW WHEN (NEW.status = 'held') EXECUTE FUNCTION commissions_are_held();
-- What becomes payable is left out: a settlement deletes the holds of its whole batch by itself, at a tenth of the cost.
CREATE TRIGGER commissions_are_held_on AFTER UPDATE OF status, hold_until ON commissions
    FOR EACH ROW WHEN ((OLD.status = 'held' AND NEW.status NOT IN ('held', 'payable'))
        OR (NEW.status = 'held' AND (OLD.status, OLD.hold_until) IS DISTINCT FROM (NEW.status, NEW.hold_until)))
    EXECUTE FUNCTION commissions_are_held();

ALTER TABLE commission_holds ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON commission_holds TO invitree_app
    USING (merchant_id = nullif(current_setting('invitree.merchant_id', true), '')::uuid);
CREATE POLICY system ON commission_holds TO invitree_system USING (true);
GRANT SELECT, DELETE ON commission_holds TO invitree_app, invitree_system;
