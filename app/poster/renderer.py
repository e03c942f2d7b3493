"""Rendering off the event loop: a process a core, a bounded queue, and a bounded cache of finished posters."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections import OrderedDict
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from app.kit.errors import Unavailable
from app.poster.render import Format, fingerprint, render
from app.poster.template import PosterInput, Template

CACHE_BYTES = 64 * 1024 * 1024
QUEUE = 64


class Renderer:
    """One a process of ours. The workers start with the first poster; one that dies is replaced."""

    def __init__(self, *, workers: int | None = None, cache_bytes: int = CACHE_BYTES) -> None:
        self._workers = workers or os.cpu_count() or 1
        self._cache_bytes = cache_bytes
        self._pool: ProcessPoolExecutor | None = None
        self._cache: OrderedDict[str, bytes] = OrderedDict()
        self._cached = 0
        self._running: dict[str, asyncio.Future[bytes]] = {}

    async def render(self, template: Template, poster: PosterInput, format: Format = "jpeg") -> bytes:  # noqa: A002 - the callers' word
        """The poster's bytes; Unavailable `renderer_busy` where too many wait already."""
        key = fingerprint(template, poster, format)
        cached = self._cache.get(key)
        if cached is not None:
            self._cache.move_to_end(key)
            return cached
        if key not in self._running:
            self._start(key, template, poster, format)
        # Shielded: one impatient reader must not take the poster from the others who wait for it.
        return await asyncio.shield(self._running[key])

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _start(self, key: str, template: Template, poster: PosterInput, format: Format) -> None:  # noqa: A002 - as above
        if len(self._running) >= QUEUE:
            raise Unavailable("renderer_busy", "Too many posters are being drawn; try again.", retry_after=1)
        task = asyncio.ensure_future(self._draw(template, poster, format))
        self._running[key] = task
        task.add_done_callback(lambda done: self._finish(key, done))

    def _finish(self, key: str, done: asyncio.Future[bytes]) -> None:
        del self._running[key]
        if done.cancelled() or done.exception() is not None:
            return
        self._cache[key] = done.result()
        self._cached += len(done.result())
        while self._cached > self._cache_bytes:
            _, oldest = self._cache.popitem(last=False)
            self._cached -= len(oldest)

    async def _draw(self, template: Template, poster: PosterInput, format: Format) -> bytes:  # noqa: A002 - as above
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._workers_pool(), render, template, poster, format)
        except BrokenProcessPool:
            # A worker was killed; a new pool gets one more chance.
            self._pool = None
            return await loop.run_in_executor(self._workers_pool(), render, template, poster, format)

    def _workers_pool(self) -> ProcessPoolExecutor:
        if self._pool is None:
            # Spawned, not forked: a fork of a process with threads and open connections may hang.
            self._pool = ProcessPoolExecutor(self._workers, multiprocessing.get_context("spawn"))
        return self._pool
