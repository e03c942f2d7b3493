-- Who had invited whom before somebody else took over: an order that was paid then is paid as then.
CREATE TABLE past_bindings (
    merchant_id UUID NOT NULL,
    id UUID NOT NULL,
    invitee_id UUID NOT NULL,
    inviter_id UUID,
    bound_at TIMESTAMP WITH TIME ZONE,
    binding_ends_at TIMESTAMP WITH TIME ZONE,
    replaced_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_past_bindings PRIMARY KEY (merchant_id, id),
    CONSTRAINT fk_past_bindings_merchant_id_invitee_id FOREIGN KEY (merchant_id, invitee_id)
        REFERENCES participants (merchant_id, id),
    CONSTRAINT fk_past_bindings_merchant_id_inviter_id FOREIGN KEY (merchant_id, inviter_id)
        REFERENCES participants (merchant_id, id)
);
CREATE INDEX ix_past_bindings_invitee ON past_bindings (merchant_id, invitee_id, replaced_at);

ALTER TABLE past_bindings ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON past_bindings TO invitree_app
    USING (merchant_id = nullif(current_setting('invitree.merchant_id', true), '')::uuid);
CREATE POLICY system ON past_bindings TO invitree_system USING (true);
GRANT SELECT, INSERT ON past_bindings TO invitree_app, invitree_system;
