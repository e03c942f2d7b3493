"""Where a command works: on the servers named by the environment, on a running `invitree serve`, or on an own stack."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from app import embedded
from app.embedded.folder import write_private
from app.kit import crypto
from app.resources import Resources, open_resources
from app.settings import Ground, get_settings

READABLE = {"INVITREE_LOG_JSON": "false"}  # on the embedded servers it is a person who reads
CHECKOUT = Path(__file__).resolve().parents[2]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Prepared:
    """`variables` are in the environment of this process already, and are for its children."""

    variables: dict[str, str]
    owner_url: str | None
    data_dir: Path | None
    stack: embedded.Stack | None = None


@contextlib.contextmanager
def prepared(data: Path | None = None, *, exclusive: bool = False) -> Iterator[Prepared]:
    """Afterwards `get_settings()` works. `exclusive`: refuse the servers of another process instead of sharing them."""
    ground = Ground()
    if ground.database_url or ground.database_owner_url:
        yield Prepared({}, ground.database_owner_url, None)
        return
    data_dir = data or ground.data_dir or CHECKOUT / ".data"
    with contextlib.ExitStack() as cleanup:
        try:
            stack = cleanup.enter_context(embedded.start(data_dir, production=ground.environment == "production"))
        except embedded.InUseError:
            if exclusive:
                raise
            found = shared(data_dir)
            with entered(found.variables):
                yield found
        else:
            variables = describe(stack, data_dir)
            cleanup.enter_context(entered(variables))
            write_private(data_dir / "running.json", variables)
            cleanup.callback((data_dir / "running.json").unlink, missing_ok=True)
            yield Prepared(variables, stack.owner_url, data_dir, stack)


@contextlib.contextmanager
def entered(variables: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            os.environ.update({} if value is None else {name: value})


def shared(data_dir: Path) -> Prepared:
    """The servers that another process runs on this folder; they stay up only as long as that process."""
    try:
        variables: dict[str, str] = json.loads((data_dir / "running.json").read_text("utf-8"))
    except (OSError, ValueError):
        raise embedded.EmbeddedError(f"The servers on {data_dir} are just starting or stopping: try again.") from None
    return Prepared(variables, variables["DATABASE_OWNER_URL"], data_dir)


def describe(stack: embedded.Stack, data_dir: Path) -> dict[str, str]:
    ground = Ground()
    return {
        **({"INVITREE_PUBLIC_URL": ground.public_url} if ground.public_url else {}),
        # Commands beside this one would look for counters in other shards.
        "TRACK_SHARDS": str(ground.track_shards),
        "INVITREE_ENV": "development",
        "DATABASE_URL": stack.app_url,
        "DATABASE_SYSTEM_URL": stack.system_url,
        "DATABASE_OWNER_URL": stack.owner_url,
        "REDIS_URL": stack.redis_url,
        **{name: value for name, value in (READABLE | load_keys(data_dir)).items() if name not in os.environ},
    }


def load_keys(data_dir: Path) -> dict[str, str]:
    """Secrets of the embedded default: made once, kept, readable by their owner only."""
    path = data_dir / "keys.json"
    if path.exists():
        found: dict[str, str] = json.loads(path.read_text("utf-8"))
        return found
    keys = {
        "INVITREE_SECRET_KEY": crypto.new_key(),
        "INVITREE_ENCRYPTION_KEYS": f"k1:{crypto.new_key()}",
        "INVITREE_BLIND_INDEX_KEY": crypto.new_key(),
    }
    write_private(path, keys)
    return keys


def run(work: Callable[[Resources], Awaitable[T]], data: Path | None = None) -> T:
    """One command's work with the resources of a process; `work` owns its transactions."""

    async def main() -> T:
        async with open_resources(get_settings()) as resources:
            return await work(resources)

    with prepared(data):
        return asyncio.run(main())
