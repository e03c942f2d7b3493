"""Engines by role, sessions by tenant, column types and the outbox."""
