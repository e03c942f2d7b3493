CREATE TABLE membership_grants (
    merchant_id UUID NOT NULL,
    id UUID NOT NULL,
    member_id UUID NOT NULL,
    source VARCHAR(24) NOT NULL,
    source_key VARCHAR(64) NOT NULL,
    paid BOOLEAN DEFAULT false NOT NULL,
    seconds BIGINT NOT NULL,
    granted_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_membership_grants PRIMARY KEY (merchant_id, id),
    CONSTRAINT fk_membership_grants_merchant_id_member_id FOREIGN KEY(merchant_id, member_id) REFERENCES members (merchant_id, id),
    CONSTRAINT ck_membership_grants_seconds CHECK (seconds <> 0)
);
CREATE INDEX ix_membership_grants_member ON membership_grants (merchant_id, member_id, granted_at);
CREATE UNIQUE INDEX uq_membership_grants_source ON membership_grants (merchant_id, source, source_key);

CREATE TABLE memberships (
    merchant_id UUID NOT NULL,
    member_id UUID NOT NULL,
    ends_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_memberships PRIMARY KEY (merchant_id, member_id),
    CONSTRAINT fk_memberships_merchant_id_member_id FOREIGN KEY(merchant_id, member_id) REFERENCES members (merchant_id, id)
);

CREATE TABLE rewards (
    merchant_id UUID NOT NULL,
    id UUID NOT NULL,
    campaign_id UUID NOT NULL,
    referral_id UUID,
    participant_id UUID NOT NULL,
    member_id UUID NOT NULL,
    invitee_id UUID NOT NULL,
    rule_key VARCHAR(64) NOT NULL,
    rule_version INTEGER NOT NULL,
    side VARCHAR(8) NOT NULL,
    trigger VARCHAR(24) NOT NULL,
    days INTEGER NOT NULL,
    cap_days INTEGER,
    status VARCHAR(16) DEFAULT 'owed' NOT NULL,
    ripe BOOLEAN DEFAULT false NOT NULL,
    attempts SMALLINT DEFAULT '0' NOT NULL,
    next_attempt_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    last_error TEXT,
    decided_at TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_rewards PRIMARY KEY (merchant_id, id),
    CONSTRAINT fk_rewards_merchant_id_campaign_id FOREIGN KEY(merchant_id, campaign_id) REFERENCES campaigns (merchant_id, id),
    CONSTRAINT fk_rewards_merchant_id_participant_id FOREIGN KEY(merchant_id, participant_id) REFERENCES participants (merchant_id, id),
    CONSTRAINT fk_rewards_merchant_id_invitee_id FOREIGN KEY(merchant_id, invitee_id) REFERENCES participants (merchant_id, id),
    CONSTRAINT ck_rewards_status CHECK (status IN ('owed', 'granted', 'skipped_cap', 'revoked')),
    CONSTRAINT ck_rewards_side CHECK (side IN ('inviter', 'invitee')),
    CONSTRAINT ck_rewards_days CHECK (days > 0)
);
CREATE INDEX ix_rewards_due ON rewards (next_attempt_at) WHERE status = 'owed' AND ripe;
CREATE INDEX ix_rewards_earned ON rewards (merchant_id, participant_id) INCLUDE (days) WHERE side = 'inviter' AND status = 'granted';
CREATE INDEX ix_rewards_member ON rewards (merchant_id, member_id, status);
CREATE INDEX ix_rewards_participant ON rewards (merchant_id, participant_id, id);
CREATE UNIQUE INDEX uq_rewards_once ON rewards (merchant_id, campaign_id, invitee_id, rule_key, side);
