"""A Redis of one's own to stop, pause, fill and wipe, while API processes and a worker use it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

from redis.exceptions import OutOfMemoryError

from app.resources import open_resources
from app.tracking import stream
from app.tracking.hits import Hit
from app.tracking.keys import Keys
from proofs.frame.stage import Stage
from tests.factories.tracking import OwnValkey, own_valkey

PAUSED = "T"


@contextlib.asynccontextmanager
async def own_redis(stage: Stage) -> AsyncIterator[tuple[Stage, OwnValkey]]:
    """The stage with another Redis, which nobody starts again. It keeps on disk what it acknowledged."""
    with own_valkey(durable=True) as valkey:
        settings = stage.resources.settings.model_copy(update={"redis_url": valkey.url})
        async with open_resources(settings) as resources:
            yield replace(stage, variables={**stage.variables, "REDIS_URL": valkey.url}, resources=resources), valkey


@dataclass(frozen=True, slots=True)
class Mishap:
    """One way in which Redis fails. `injected` is asked while it should."""

    name: str
    stage: Stage
    valkey: OwnValkey

    @contextlib.asynccontextmanager
    async def under_way(self) -> AsyncIterator[None]:
        """Started again without keeping the loop, on which the load runs, from its work."""
        await getattr(self, f"_{self.name}")(begins=True)
        try:
            yield
        finally:
            await getattr(self, f"_{self.name}")(begins=False)

    async def injected(self) -> bool:
        process, redis = self.valkey.process, self.stage.resources.redis
        assert process is not None
        if self.name == "stopped":
            return process.poll() == -signal.SIGKILL
        if self.name == "paused":
            return _state_of(process.pid) == PAUSED
        try:
            await redis.set("more", "of it")
        except OutOfMemoryError:
            return True
        return False

    async def _stopped(self, *, begins: bool) -> None:
        if begins:
            self.valkey.stop()
            return
        self.valkey.process = self.valkey.program.spawn()
        while True:
            await asyncio.sleep(0.02)
            if await asyncio.to_thread(self.valkey.program.is_ready, self.valkey.process.pid):
                return

    async def _paused(self, *, begins: bool) -> None:
        self.valkey.send(signal.SIGSTOP if begins else signal.SIGCONT)

    async def _full(self, *, begins: bool) -> None:
        await self.stage.resources.redis.config_set("maxmemory", "1mb" if begins else "0")


async def wipe(stage: Stage) -> list[Hit]:
    """All of Redis. The hits that its stream held then: no others may be missing afterwards."""
    keys = Keys(0)
    async with stage.resources.redis.pipeline(transaction=True) as pipe:
        pipe.xrange(keys.stream)
        pipe.flushall()
        entries, _ = await pipe.execute()
    return stream.window(b"", None, entries).hits


def _state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()[0]
