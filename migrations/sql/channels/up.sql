-- Names of a campaign's channels: the first 200, by their number, which no two have.
CREATE TABLE campaign_channels (
    merchant_id UUID NOT NULL,
    campaign_id UUID NOT NULL,
    name VARCHAR(32) NOT NULL,
    number SMALLINT NOT NULL,
    CONSTRAINT pk_campaign_channels PRIMARY KEY (merchant_id, campaign_id, name),
    CONSTRAINT uq_campaign_channels_merchant_id_campaign_id_number UNIQUE (merchant_id, campaign_id, number),
    CONSTRAINT ck_campaign_channels_number CHECK (number BETWEEN 1 AND 200),
    CONSTRAINT fk_campaign_channels_merchant_id_campaign_id FOREIGN KEY (merchant_id, campaign_id)
        REFERENCES campaigns (merchant_id, id)
);

INSERT INTO campaign_channels (merchant_id, campaign_id, name, number)
SELECT merchant_id, campaign_id, channel, number FROM (
    SELECT t.merchant_id, t.campaign_id, t.channel,
           row_number() OVER (PARTITION BY t.merchant_id, t.campaign_id ORDER BY min(t.hour), t.channel) AS number
    FROM participant_totals t
    JOIN campaigns c ON c.merchant_id = t.merchant_id AND c.id = t.campaign_id
    WHERE t.channel NOT IN ('direct', 'other')
    GROUP BY t.merchant_id, t.campaign_id, t.channel
) counted WHERE number <= 200;

ALTER TABLE campaign_channels ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON campaign_channels TO invitree_app
    USING (merchant_id = nullif(current_setting('invitree.merchant_id', true), '')::uuid);
CREATE POLICY system ON campaign_channels TO invitree_system USING (true);
-- Names are only ever added, and by the system alone.
GRANT SELECT ON campaign_channels TO invitree_app, invitree_system;
GRANT INSERT ON campaign_channels TO invitree_system;
