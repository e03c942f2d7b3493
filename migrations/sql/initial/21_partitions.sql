-- Raw events by day of receipt. The runtime roles own no table, so they ask this function of the owner's for days to come.
CREATE TABLE tracked_events_default PARTITION OF tracked_events DEFAULT;

CREATE FUNCTION ensure_event_partitions(first_day date, days integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    day date;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('ensure_event_partitions'));
    FOR day IN SELECT first_day + n FROM generate_series(0, least(days, 60) - 1) AS n LOOP
        IF to_regclass('tracked_events_' || to_char(day, 'YYYYMMDD')) IS NULL THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF tracked_events FOR VALUES FROM (%L) TO (%L)',
                           'tracked_events_' || to_char(day, 'YYYYMMDD'),
                           day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END $$;
REVOKE ALL ON FUNCTION ensure_event_partitions(date, integer) FROM PUBLIC;
