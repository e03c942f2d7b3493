"""Tracking: clicks and scans recorded once, counted live in Redis, and drained into Postgres, which is the truth."""
