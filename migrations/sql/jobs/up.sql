-- Work that takes longer than a request: what it is, how far it is, what came of it.
CREATE TABLE jobs (
    merchant_id UUID NOT NULL,
    id UUID NOT NULL,
    kind VARCHAR(24) NOT NULL,
    status VARCHAR(12) DEFAULT 'queued' NOT NULL,
    campaign_id UUID NOT NULL,
    input JSONB DEFAULT '{}' NOT NULL,
    total INTEGER NOT NULL,
    done INTEGER DEFAULT '0' NOT NULL,
    failed INTEGER DEFAULT '0' NOT NULL,
    size_bytes BIGINT DEFAULT '0' NOT NULL,
    leased_until TIMESTAMP WITH TIME ZONE,
    finished_at TIMESTAMP WITH TIME ZONE,
    metadata JSONB DEFAULT '{}' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_jobs PRIMARY KEY (merchant_id, id),
    CONSTRAINT ck_jobs_status CHECK (status IN ('queued', 'running', 'done', 'expired')),
    CONSTRAINT ck_jobs_kind CHECK (kind IN ('posters')),
    CONSTRAINT ck_jobs_progress CHECK (done >= 0 AND failed >= 0 AND done + failed <= total),
    CONSTRAINT fk_jobs_merchant_id_campaign_id FOREIGN KEY (merchant_id, campaign_id)
        REFERENCES campaigns (merchant_id, id)
);
CREATE INDEX ix_jobs_open ON jobs (created_at) WHERE status IN ('queued', 'running');
CREATE INDEX ix_jobs_finished_at ON jobs (finished_at) WHERE status = 'done';

-- A poster of a job: drawn, failed, or neither yet.
CREATE TABLE job_posters (
    merchant_id UUID NOT NULL,
    job_id UUID NOT NULL,
    number INTEGER NOT NULL,
    participant_id UUID NOT NULL,
    name VARCHAR(40),
    content BYTEA,
    error VARCHAR(80),
    CONSTRAINT pk_job_posters PRIMARY KEY (merchant_id, job_id, number),
    CONSTRAINT fk_job_posters_merchant_id_job_id FOREIGN KEY (merchant_id, job_id)
        REFERENCES jobs (merchant_id, id),
    CONSTRAINT fk_job_posters_merchant_id_participant_id FOREIGN KEY (merchant_id, participant_id)
        REFERENCES participants (merchant_id, id)
);
-- Compressed pictures: trying to compress them again only takes time.
ALTER TABLE job_posters ALTER COLUMN content SET STORAGE EXTERNAL;

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['jobs', 'job_posters'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON %I TO invitree_app'
            ' USING (merchant_id = nullif(current_setting(''invitree.merchant_id'', true), '''')::uuid)', t);
        EXECUTE format('CREATE POLICY system ON %I TO invitree_system USING (true)', t);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE ON %I TO invitree_app, invitree_system', t);
    END LOOP;
END $$;
GRANT DELETE ON job_posters TO invitree_system;
