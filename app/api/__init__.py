"""The REST API: dependencies, errors, pages, idempotency, middleware; `v1/<noun>.py` hold routes with their schemas."""
