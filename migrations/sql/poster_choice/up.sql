-- What a template was, version by version: never changed, so that what was made with one can be made again.
CREATE TABLE poster_template_versions (
    merchant_id UUID NOT NULL,
    template_id UUID NOT NULL,
    version INTEGER NOT NULL,
    document JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_poster_template_versions PRIMARY KEY (merchant_id, template_id, version),
    CONSTRAINT fk_poster_template_versions_merchant_id_template_id FOREIGN KEY (merchant_id, template_id)
        REFERENCES poster_templates (merchant_id, id)
);
INSERT INTO poster_template_versions (merchant_id, template_id, version, document, created_at)
SELECT merchant_id, id, version, document, created_at FROM poster_templates;

ALTER TABLE poster_template_versions ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON poster_template_versions TO invitree_app
    USING (merchant_id = nullif(current_setting('invitree.merchant_id', true), '')::uuid);
CREATE POLICY system ON poster_template_versions TO invitree_system USING (true);
GRANT SELECT, INSERT ON poster_template_versions TO invitree_app, invitree_system;

-- Which of the campaign's templates a participant has picked; null: the first.
ALTER TABLE participants ADD COLUMN poster_template_id VARCHAR(60);
