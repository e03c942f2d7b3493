"""Processes that draw, one job at a time each. One that dies is replaced, and its job is done by another."""

from __future__ import annotations

import asyncio
import os
import pickle
import sys
from asyncio import StreamReader, StreamWriter
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar, cast

from app.kit import logging
from app.kit.errors import Unavailable
from app.poster.process import SIZE_BYTES, packed, too_slow

log = logging.get(__name__)
# Not `-m`: a class of `__main__` could not be read here.
COMMAND = (sys.executable, "-P", "-c", "from app.poster.process import main; main()")
ATTEMPTS = 2
# Between two tries to make one ready: where the first failed, the next is likely to fail as well.
PAUSE = 30.0
# Of the clock, for a process that hangs; what works too long stops by itself.
PATIENCE = 60.0
_PIPE_BUFFER = 1024 * 1024
_DIED = (ConnectionError, asyncio.IncompleteReadError)
T = TypeVar("T")


class Workers:
    """At most `count` processes, started as they are needed, or before."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._free = asyncio.Semaphore(count)
        self._idle: list[Process] = []
        self._busy: set[Process] = set()
        self._closed = False
        # Those that live, and those that are being started.
        self._living = 0
        self._fewer = asyncio.Event()
        self._watches: set[asyncio.Task[None]] = set()
        self._keeper: asyncio.Task[None] | None = None

    def keep_ready(self, seconds: float, rehearse: Callable[[], None]) -> None:
        """From now on let there be all of them, and each rehearse before it is needed; this returns at once.

        One after the other: the other cores are for what is served meanwhile.
        """
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep_ready(packed((seconds, rehearse, ()))))

    async def run(self, seconds: float, function: Callable[..., T], *arguments: Any) -> T:
        """What a function of this room returns or raises.

        TooSlow after `seconds` of processor time; Unavailable `renderer_failed` where every process that tried died.
        """
        async with self._free:
            job = packed((seconds, function, arguments))
            for _ in range(ATTEMPTS):
                with suppress(*_DIED):
                    done, value = await self._do(job)
                    if done:
                        return cast("T", value)
                    raise value
                log.warning("drawing_process_died", function=function.__name__)
                await self._end_idle()  # who killed one may have killed those that wait, too
        raise _failed()

    async def close(self) -> None:
        """End every process; jobs at work and in the queue fail."""
        self._closed = True
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        for process in self._busy:
            _kill(process)
        for _ in range(self._count):
            await self._free.acquire()
        await self._end_idle()
        for _ in range(self._count):
            self._free.release()
        if self._watches:
            await asyncio.wait(self._watches)

    async def _keep_ready(self, job: bytes) -> None:
        while True:
            self._fewer.clear()
            while self._living < self._count:
                if not await self._made_ready(job):
                    await asyncio.sleep(PAUSE)
            await self._fewer.wait()

    async def _made_ready(self, job: bytes) -> bool:
        """Whether the one that was missing is there; if it was not fast enough to learn all, that is enough."""
        try:
            async with self._free:
                if self._living < self._count:  # else a job was here first
                    async with self._lent(await self._start()) as process, asyncio.timeout(PATIENCE):
                        done, fault = await _ask(process, job)
                        if not done:
                            log.warning("drawing_not_rehearsed", error=str(fault))
        except (*_DIED, TimeoutError, OSError) as error:
            log.warning("drawing_process_not_ready", error=repr(error))
            return False
        return True

    async def _do(self, job: bytes) -> tuple[bool, Any]:
        async with self._lent(await self._take()) as process:
            try:
                async with asyncio.timeout(PATIENCE):
                    return await _ask(process, job)
            except TimeoutError:
                raise too_slow() from None

    @asynccontextmanager
    async def _lent(self, process: Process) -> AsyncIterator[Process]:
        self._busy.add(process)
        try:
            yield process
        except BaseException:
            # In the middle of a job: what it still says would be taken for the answer to the next.
            await _end(process)
            raise
        else:
            await self._put_back(process)
        finally:
            self._busy.discard(process)

    async def _put_back(self, process: Process) -> None:
        if process.returncode is None:
            self._idle.append(process)
        else:
            await _end(process)

    async def _take(self) -> Process:
        if self._closed:
            raise _failed()
        while self._idle:
            process = self._idle.pop()
            if process.returncode is None:
                return process
            await _end(process)
        return await self._start()

    async def _start(self) -> Process:
        self._living += 1
        try:
            process = await _start()
        except BaseException:
            self._living -= 1
            raise
        watch = asyncio.create_task(self._watch(process))
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)
        return process

    async def _watch(self, process: Process) -> None:
        await process.wait()
        self._living -= 1
        self._fewer.set()
        if process in self._idle:
            self._idle.remove(process)
            await _end(process)

    async def _end_idle(self) -> None:
        while self._idle:
            await _end(self._idle.pop())


def _failed() -> Unavailable:
    return Unavailable("renderer_failed", "The picture could not be drawn; try again.", retry_after=5)


async def _start() -> Process:
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return await asyncio.create_subprocess_exec(*COMMAND, stdin=PIPE, stdout=PIPE, env=environment, limit=_PIPE_BUFFER)


async def _ask(process: Process, job: bytes) -> tuple[bool, Any]:
    writer, reader = cast("StreamWriter", process.stdin), cast("StreamReader", process.stdout)
    writer.write(job)
    await writer.drain()
    size = int.from_bytes(await reader.readexactly(SIZE_BYTES), "big")
    done, value = pickle.loads(await reader.readexactly(size))  # noqa: S301 - our own child's
    return done, value


def _kill(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()


async def _end(process: Process) -> None:
    _kill(process)
    await process.wait()
    cast("StreamWriter", process.stdin).close()
    # To its end: only then does the event loop let go of the pipes.
    await cast("StreamReader", process.stdout).read()
