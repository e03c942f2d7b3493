"""Members, participants, binding, chains, attribution and its explanation."""
