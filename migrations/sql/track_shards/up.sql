-- Into how many shards campaigns are spread in Redis. Rows are only added: the newest is in force, the others say since when
-- it was otherwise, and by whom.
CREATE TABLE shard_counts (
    version INTEGER NOT NULL,
    shards SMALLINT NOT NULL,
    actor VARCHAR(64) NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_shard_counts PRIMARY KEY (version)
);
GRANT SELECT, INSERT ON shard_counts TO invitree_system;

-- A worker has left a position for each shard that it drains.
INSERT INTO shard_counts (version, shards, actor)
    SELECT 1, max(shard) + 1, 'migration' FROM stream_positions HAVING max(shard) IS NOT NULL;
