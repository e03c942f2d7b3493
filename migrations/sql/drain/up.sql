-- Who drains a shard. The lock that every drain takes makes it safe; the lease says who may, and who is gone.
CREATE TABLE stream_leases (
    shard SMALLINT NOT NULL,
    holder VARCHAR(64) NOT NULL,
    held_until TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_stream_leases PRIMARY KEY (shard)
);

CREATE TABLE set_aside_entries (
    shard SMALLINT NOT NULL,
    entry_id VARCHAR(40) NOT NULL,
    set_aside_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    sequence BIGINT NOT NULL,
    packed BYTEA NOT NULL,
    repeats BYTEA NOT NULL,
    reason TEXT NOT NULL,
    CONSTRAINT pk_set_aside_entries PRIMARY KEY (shard, entry_id, set_aside_at)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON stream_leases, set_aside_entries TO invitree_system;

-- Room on each page for the next version of a row that is counted up again and again: no index needs to hear of it.
ALTER TABLE participant_totals SET (fillfactor = 70);

-- The drain stages rollups in temporary tables.
DO $$ BEGIN
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO invitree_system', current_database());
END $$;

-- Raw events of the oldest day before `kept_from`; their rollups stay. Waits for a lock no longer than it may keep the
-- drain waiting. Returns the day, or NULL when none is left. A comment on the table says through which day they are gone.
CREATE FUNCTION drop_event_partition(kept_from date) RETURNS date
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    partition name;
    day date;
BEGIN
    IF kept_from > current_date - 31 THEN
        RAISE EXCEPTION 'raw events are kept for 31 days at least';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('ensure_event_partitions'));
    SELECT c.relname, to_date(right(c.relname, 8), 'YYYYMMDD') INTO partition, day
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'tracked_events'::regclass AND c.relname ~ '^tracked_events_[0-9]{8}$'
              AND to_date(right(c.relname, 8), 'YYYYMMDD') < kept_from
        ORDER BY c.relname LIMIT 1;
    IF partition IS NULL THEN
        DELETE FROM tracked_events_default WHERE received_at < kept_from::timestamp AT TIME ZONE 'UTC';
        IF FOUND THEN
            day := kept_from - 1;
        END IF;
    ELSE
        EXECUTE format('ALTER TABLE tracked_events DETACH PARTITION %I', partition);
        EXECUTE format('DROP TABLE %I', partition);
    END IF;
    IF day IS NOT NULL THEN
        EXECUTE format('COMMENT ON TABLE tracked_events IS %L', 'gone before ' || kept_from);
    END IF;
    RETURN day;
END $$;
REVOKE ALL ON FUNCTION drop_event_partition(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION drop_event_partition(date) TO invitree_system;
