CREATE SEQUENCE participant_numbers;

CREATE TABLE participants (
    merchant_id UUID NOT NULL,
    id UUID NOT NULL,
    campaign_id UUID NOT NULL,
    member_id UUID NOT NULL,
    invite_code VARCHAR(8) COLLATE "C" NOT NULL,
    number BIGINT DEFAULT nextval('participant_numbers') NOT NULL,
    inviter_id UUID,
    second_inviter_id UUID,
    depth INTEGER DEFAULT '0' NOT NULL,
    path TEXT COLLATE "C" NOT NULL,
    path_head TEXT COLLATE "C" GENERATED ALWAYS AS (left(path, 1000)) STORED NOT NULL,
    is_promoter BOOLEAN DEFAULT true NOT NULL,
    metadata JSONB DEFAULT '{}' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_participants PRIMARY KEY (merchant_id, id),
    CONSTRAINT fk_participants_merchant_id_campaign_id FOREIGN KEY(merchant_id, campaign_id) REFERENCES campaigns (merchant_id, id),
    CONSTRAINT fk_participants_merchant_id_member_id FOREIGN KEY(merchant_id, member_id) REFERENCES members (merchant_id, id),
    CONSTRAINT fk_participants_merchant_id_inviter_id FOREIGN KEY(merchant_id, inviter_id) REFERENCES participants (merchant_id, id),
    CONSTRAINT ck_participants_not_own_inviter CHECK (inviter_id <> id),
    CONSTRAINT ck_participants_depth CHECK ((inviter_id IS NULL) = (depth = 0))
);
CREATE INDEX ix_participants_inviter ON participants (merchant_id, inviter_id, id);
CREATE INDEX ix_participants_path_head ON participants (merchant_id, campaign_id, path_head) INCLUDE (depth);
CREATE UNIQUE INDEX uq_participants_invite_code ON participants (invite_code);
CREATE UNIQUE INDEX uq_participants_member ON participants (merchant_id, member_id, campaign_id);
CREATE UNIQUE INDEX uq_participants_number ON participants (merchant_id, campaign_id, number);

CREATE TABLE referrals (
    merchant_id UUID NOT NULL,
    id UUID NOT NULL,
    campaign_id UUID NOT NULL,
    inviter_id UUID NOT NULL,
    invitee_id UUID NOT NULL,
    bound_at TIMESTAMP WITH TIME ZONE NOT NULL,
    binding_ends_at TIMESTAMP WITH TIME ZONE,
    new_member BOOLEAN NOT NULL,
    decision JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_referrals PRIMARY KEY (merchant_id, id),
    CONSTRAINT fk_referrals_merchant_id_campaign_id FOREIGN KEY(merchant_id, campaign_id) REFERENCES campaigns (merchant_id, id),
    CONSTRAINT fk_referrals_merchant_id_inviter_id FOREIGN KEY(merchant_id, inviter_id) REFERENCES participants (merchant_id, id),
    CONSTRAINT fk_referrals_merchant_id_invitee_id FOREIGN KEY(merchant_id, invitee_id) REFERENCES participants (merchant_id, id),
    CONSTRAINT ck_referrals_not_self CHECK (inviter_id <> invitee_id)
);
CREATE INDEX ix_referrals_inviter ON referrals (merchant_id, inviter_id, id);
CREATE UNIQUE INDEX uq_referrals_invitee ON referrals (merchant_id, campaign_id, invitee_id);
