CREATE TABLE commissions (
    merchant_id UUID NOT NULL,
    id UUID NOT NULL,
    campaign_id UUID NOT NULL,
    order_id UUID NOT NULL,
    line_id UUID NOT NULL,
    level SMALLINT NOT NULL,
    beneficiary_id UUID NOT NULL,
    member_id UUID NOT NULL,
    amount_minor BIGINT NOT NULL,
    currency CHAR(3) NOT NULL,
    base_minor BIGINT NOT NULL,
    rate_bps INTEGER,
    rule_version INTEGER NOT NULL,
    status VARCHAR(16) NOT NULL,
    hold_until TIMESTAMP WITH TIME ZONE,
    reverses_id UUID,
    refund_id UUID,
    withdrawal_id UUID,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_commissions PRIMARY KEY (merchant_id, id),
    CONSTRAINT fk_commissions_merchant_id_order_id FOREIGN KEY(merchant_id, order_id) REFERENCES orders (merchant_id, id),
    CONSTRAINT fk_commissions_merchant_id_line_id FOREIGN KEY(merchant_id, line_id) REFERENCES order_lines (merchant_id, id),
    CONSTRAINT fk_commissions_merchant_id_beneficiary_id FOREIGN KEY(merchant_id, beneficiary_id) REFERENCES participants (merchant_id, id),
    CONSTRAINT fk_commissions_merchant_id_reverses_id FOREIGN KEY(merchant_id, reverses_id) REFERENCES commissions (merchant_id, id),
    CONSTRAINT fk_commissions_merchant_id_refund_id FOREIGN KEY(merchant_id, refund_id) REFERENCES refunds (merchant_id, id),
    CONSTRAINT fk_commissions_merchant_id_withdrawal_id FOREIGN KEY(merchant_id, withdrawal_id) REFERENCES withdrawals (merchant_id, id),
    CONSTRAINT ck_commissions_two_levels_at_most CHECK (level IN (1, 2)),
    CONSTRAINT ck_commissions_status CHECK (status IN ('pending', 'held', 'payable', 'in_payout', 'paid', 'reversed', 'rejected')),
    CONSTRAINT ck_commissions_sign CHECK ((amount_minor > 0) = (reverses_id IS NULL)),
    CONSTRAINT ck_commissions_amount CHECK (amount_minor <> 0)
);
CREATE INDEX ix_commissions_beneficiary ON commissions (merchant_id, beneficiary_id, id);
CREATE INDEX ix_commissions_hold ON commissions (merchant_id, hold_until) WHERE status = 'held';
CREATE INDEX ix_commissions_member ON commissions (merchant_id, member_id, status);
CREATE INDEX ix_commissions_order ON commissions (merchant_id, order_id);
CREATE INDEX ix_commissions_withdrawal ON commissions (merchant_id, withdrawal_id);
CREATE UNIQUE INDEX uq_commissions_line_level ON commissions (merchant_id, line_id, level) WHERE reverses_id IS NULL;
CREATE UNIQUE INDEX uq_commissions_refund ON commissions (merchant_id, refund_id, line_id, level) WHERE reverses_id IS NOT NULL;
