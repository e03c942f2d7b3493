"""The demonstration: a whole campaign played through the real HTTP API, then checked against an own account of it."""
