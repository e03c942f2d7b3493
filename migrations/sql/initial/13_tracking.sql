CREATE TABLE counter_repairs (
    merchant_id UUID NOT NULL,
    id UUID NOT NULL,
    campaign_id UUID NOT NULL,
    requested_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_counter_repairs PRIMARY KEY (merchant_id, id)
);

CREATE TABLE event_keys (
    merchant_id UUID NOT NULL,
    key_hash BYTEA NOT NULL,
    seen_on DATE NOT NULL,
    CONSTRAINT pk_event_keys PRIMARY KEY (merchant_id, key_hash)
);
CREATE INDEX ix_event_keys_seen_on ON event_keys USING brin (seen_on);

CREATE TABLE participant_totals (
    merchant_id UUID NOT NULL,
    participant_id UUID NOT NULL,
    hour TIMESTAMP WITH TIME ZONE NOT NULL,
    channel VARCHAR(32) NOT NULL,
    campaign_id UUID NOT NULL,
    clicks BIGINT DEFAULT '0' NOT NULL,
    scans BIGINT DEFAULT '0' NOT NULL,
    views BIGINT DEFAULT '0' NOT NULL,
    shares BIGINT DEFAULT '0' NOT NULL,
    bot_hits BIGINT DEFAULT '0' NOT NULL,
    late_hits BIGINT DEFAULT '0' NOT NULL,
    CONSTRAINT pk_participant_totals PRIMARY KEY (merchant_id, participant_id, hour, channel)
);
CREATE INDEX ix_participant_totals_campaign ON participant_totals (merchant_id, campaign_id, hour);

CREATE TABLE participant_visitors (
    merchant_id UUID NOT NULL,
    participant_id UUID NOT NULL,
    day DATE NOT NULL,
    visitor BYTEA NOT NULL,
    campaign_id UUID NOT NULL,
    CONSTRAINT pk_participant_visitors PRIMARY KEY (merchant_id, participant_id, day, visitor)
);

CREATE TABLE stream_positions (
    shard SMALLINT NOT NULL,
    epoch VARCHAR(64) NOT NULL,
    position VARCHAR(40) NOT NULL,
    sequence BIGINT DEFAULT '0' NOT NULL,
    rebuilt BOOLEAN DEFAULT false NOT NULL,
    CONSTRAINT pk_stream_positions PRIMARY KEY (shard)
);

CREATE TABLE tracked_events (
    received_at TIMESTAMP WITH TIME ZONE NOT NULL,
    id UUID NOT NULL,
    merchant_id UUID NOT NULL,
    campaign_id UUID NOT NULL,
    participant_id UUID NOT NULL,
    client_event_id VARCHAR(64),
    type VARCHAR(8) NOT NULL,
    outcome VARCHAR(8) NOT NULL,
    channel VARCHAR(32) NOT NULL,
    visitor BYTEA,
    occurred_at TIMESTAMP WITH TIME ZONE NOT NULL,
    address TEXT,
    user_agent TEXT,
    CONSTRAINT pk_tracked_events PRIMARY KEY (received_at, id)
) PARTITION BY RANGE (received_at);
