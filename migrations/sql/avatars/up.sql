-- Whether posters show people's pictures. Off unless a merchant asks for it.
ALTER TABLE campaigns ADD COLUMN poster_avatars BOOLEAN DEFAULT false NOT NULL;

-- Pictures that are to be fetched from addresses which merchants gave.
CREATE TABLE avatar_fetches (
    merchant_id UUID NOT NULL,
    member_id UUID NOT NULL,
    url TEXT NOT NULL,
    attempts SMALLINT DEFAULT '0' NOT NULL,
    due_at TIMESTAMP WITH TIME ZONE DEFAULT now(),
    error VARCHAR(300),
    CONSTRAINT pk_avatar_fetches PRIMARY KEY (merchant_id, member_id),
    CONSTRAINT fk_avatar_fetches_merchant_id_member_id FOREIGN KEY (merchant_id, member_id)
        REFERENCES members (merchant_id, id)
);
CREATE INDEX ix_avatar_fetches_due_at ON avatar_fetches (due_at) WHERE due_at IS NOT NULL;

ALTER TABLE avatar_fetches ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON avatar_fetches TO invitree_app
    USING (merchant_id = nullif(current_setting('invitree.merchant_id', true), '')::uuid);
CREATE POLICY system ON avatar_fetches TO invitree_system USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON avatar_fetches TO invitree_app, invitree_system;
