"""A throw-away PostgreSQL and Valkey with the real schema, and what is run on them. Nothing leaves this machine."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from app import embedded
from app.cli.environment import entered
from app.db.migrations import upgrade
from app.kit import clock, crypto, logging
from app.resources import Resources, open_resources
from app.settings import Settings
from app.tracking import retention

# Made once a process: what seals people's data reads them once.
SECRETS = {
    "INVITREE_SECRET_KEY": crypto.new_key(),
    "INVITREE_ENCRYPTION_KEYS": f"k1:{crypto.new_key()}",
    "INVITREE_BLIND_INDEX_KEY": crypto.new_key(),
}


@dataclass(frozen=True, slots=True)
class Stage:
    """`resources`: this process's own way in, as the roles *app* and *system*, to set up and to count.

    `is_quick`: programs are forked from one that has read their code, instead of being started anew each time.
    """

    stack: embedded.Stack
    variables: dict[str, str]
    resources: Resources
    folder: Path
    is_quick: bool = False


@contextlib.asynccontextmanager
async def open_stage(*, durable: bool, quick: bool = False) -> AsyncIterator[Stage]:
    """`durable`: what is acknowledged is forced to disk, as a figure about signups must have it."""
    with (
        tempfile.TemporaryDirectory(prefix="ivt-", ignore_cleanup_errors=True) as folder,
        embedded.start(Path(folder) / "data", durable=durable) as stack,
    ):
        await asyncio.to_thread(upgrade, stack.owner_url)
        variables = _variables(stack)
        with entered(variables):
            logging.configure("error", as_json=True)
            async with open_resources(Settings()) as resources:
                # As where a worker has run before: who reads while rows are moved into a new day may miss them.
                async with resources.db.system() as session:
                    await retention.make_partitions(session, now=clock.utcnow())
                yield Stage(stack, variables, resources, Path(folder), quick)


def _variables(stack: embedded.Stack) -> dict[str, str]:
    return {
        **SECRETS,
        "INVITREE_ENV": "development",
        "INVITREE_PUBLIC_URL": "http://127.0.0.1",
        "DATABASE_URL": stack.app_url,
        "DATABASE_SYSTEM_URL": stack.system_url,
        "DATABASE_OWNER_URL": stack.owner_url,
        "REDIS_URL": stack.redis_url,
        # Everything here comes from one address.
        "INVITREE_REGISTRATIONS_PER_HOUR": "1000000",
        "INVITREE_LOG_LEVEL": "error",
        "INVITREE_LOG_JSON": "true",
    }
