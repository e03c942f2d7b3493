"""One process for what nobody waits for: the stream, the outbox, schedules. Every task is safe to run twice at once."""
