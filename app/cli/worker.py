"""`invitree worker`: the background process."""

from __future__ import annotations

import os
import sys

WORKER = [sys.executable, "-P", "-m", "app.worker"]


def worker() -> None:
    """Run the worker: stream, outbox, schedules. Any number of them may run."""
    os.execv(WORKER[0], WORKER)  # noqa: S606 - signals then reach the worker itself
