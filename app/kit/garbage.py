"""When Python looks for garbage in a process that does nothing but serve."""

from __future__ import annotations

import gc

# What was made up to the start stays; of what comes and goes with requests and batches hardly anything is left to be
# found. Looking after every 700 objects, and all too often among everything, took an eighth of a click's time.
COLLECT_AFTER = (10_000, 20, 50)


def look_seldom() -> None:
    """To be called when all that stays is there."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
