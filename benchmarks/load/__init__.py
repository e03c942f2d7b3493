"""Load: a generator in a process of its own, what it sends, and the servers it is sent to."""
