-- Raw events by day of receipt. The runtime roles own no table, so they ask these functions of the owner's.
CREATE TABLE tracked_events_default PARTITION OF tracked_events DEFAULT;

-- Days to come. What came in while a day had no partition yet is moved into it: it would forbid the partition otherwise.
CREATE FUNCTION ensure_event_partitions(first_day date, days integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    day date;
    name text;
    opens timestamptz;
    closes timestamptz;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('ensure_event_partitions'));
    FOR day IN SELECT first_day + n FROM generate_series(0, least(days, 60) - 1) AS n LOOP
        name := 'tracked_events_' || to_char(day, 'YYYYMMDD');
        CONTINUE WHEN to_regclass(name) IS NOT NULL;
        opens := day::timestamp AT TIME ZONE 'UTC';
        closes := (day + 1)::timestamp AT TIME ZONE 'UTC';
        EXECUTE format('CREATE TABLE %I (LIKE tracked_events INCLUDING ALL)', name);
        IF EXISTS (SELECT 1 FROM tracked_events_default WHERE received_at >= opens AND received_at < closes) THEN
            LOCK TABLE tracked_events IN SHARE ROW EXCLUSIVE MODE;
            EXECUTE format('WITH moved AS (DELETE FROM tracked_events_default'
                           ' WHERE received_at >= %L AND received_at < %L RETURNING *)'
                           ' INSERT INTO %I SELECT * FROM moved', opens, closes, name);
        END IF;
        EXECUTE format('ALTER TABLE tracked_events ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                       name, opens, closes);
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;
REVOKE ALL ON FUNCTION ensure_event_partitions(date, integer) FROM PUBLIC;

-- Addresses and agents of one day before `kept_from`, the oldest that still has them. A comment on the partition says
-- that it is done, so that no day is read twice. Returns how many rows were cleared, or NULL when no day is left.
CREATE FUNCTION forget_event_origins(kept_from date) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    partition regclass;
    cleared bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('forget_event_origins'));
    UPDATE tracked_events_default SET address = NULL, user_agent = NULL
        WHERE received_at < kept_from::timestamp AT TIME ZONE 'UTC' AND (address IS NOT NULL OR user_agent IS NOT NULL);
    SELECT c.oid INTO partition FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'tracked_events'::regclass AND c.relname ~ '^tracked_events_[0-9]{8}$'
              AND to_date(right(c.relname, 8), 'YYYYMMDD') < kept_from
              AND obj_description(c.oid, 'pg_class') IS DISTINCT FROM 'origins forgotten'
        ORDER BY c.relname LIMIT 1;
    IF partition IS NULL THEN
        RETURN NULL;
    END IF;
    EXECUTE format('UPDATE %s SET address = NULL, user_agent = NULL'
                   ' WHERE address IS NOT NULL OR user_agent IS NOT NULL', partition);
    GET DIAGNOSTICS cleared = ROW_COUNT;
    EXECUTE format('COMMENT ON TABLE %s IS %L', partition, 'origins forgotten');
    RETURN cleared;
END $$;
REVOKE ALL ON FUNCTION forget_event_origins(date) FROM PUBLIC;
