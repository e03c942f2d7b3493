"""A launcher in a process of its own, to be killed: prints the stack's URLs and pids, then sleeps."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from app import embedded

with embedded.start(Path(sys.argv[1])) as stack:
    told = {"owner_url": stack.owner_url, "redis_url": stack.redis_url, "pids": stack.pids}
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    time.sleep(600)
