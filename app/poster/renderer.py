"""Drawing and decoding off the event loop: processes, a bounded queue, and bounded caches of finished posters."""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

from app.kit.errors import Unavailable, Unprocessable
from app.poster.check import Problem, check_template
from app.poster.pictures import Purpose, normalise
from app.poster.process import TooSlow
from app.poster.rehearsal import rehearse
from app.poster.render import Format, fingerprint, render
from app.poster.shelf import Shelf
from app.poster.template import PosterInput, Template
from app.poster.workers import Workers

CACHE_BYTES = 64 * 1024 * 1024
QUEUE = 256
# Of processor time. A poster takes tens of milliseconds, the first of a process a second, for it loads the fonts.
SECONDS = 5.0
REHEARSAL_SECONDS = 30.0
TIDY_SECONDS = 3600.0
# As many finished posters wait for the disk; what comes while it is slower than that is not kept.
MOST_SHELVING = 64
T = TypeVar("T")


class Renderer:
    """One a process of ours. Its drawing processes start with the first picture, or with `keep_ready`."""

    def __init__(
        self,
        *,
        workers: int | None = None,
        cache_bytes: int = CACHE_BYTES,
        queue: int = QUEUE,
        seconds: float = SECONDS,
        shelf: Shelf | None = None,
    ) -> None:
        self._workers = Workers(workers or os.cpu_count() or 1)
        self._queue = queue
        self._seconds = seconds
        self._shelf = shelf
        self._asked = 0
        self._cache_bytes = cache_bytes
        self._cache: OrderedDict[str, bytes] = OrderedDict()
        self._cached = 0
        self._running: dict[str, asyncio.Task[bytes]] = {}
        self._shelving: set[asyncio.Task[None]] = set()
        self._tidying: asyncio.Task[None] | None = None

    def keep_ready(self) -> None:
        """For a server: have the drawing processes warm before somebody waits, also after one died; returns at once."""
        self._workers.keep_ready(REHEARSAL_SECONDS, rehearse)
        self._keep_tidy()

    async def render(self, template: Template, poster: PosterInput, format: Format = "jpeg") -> bytes:  # noqa: A002 - the callers' word
        """The poster's bytes; Unavailable `renderer_busy` where too many wait already."""
        key = fingerprint(template, poster, format)
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        if key not in self._running:
            task = asyncio.ensure_future(self._found_or_drawn(key, template, poster, format))
            self._running[key] = task
            task.add_done_callback(lambda done: self._finish(key, done))
        # Shielded: one impatient reader must not take the poster from the others who wait for it.
        return await asyncio.shield(self._running[key])

    async def check(self, template: Template) -> list[Problem]:
        """As `check_template`; Unprocessable where a poster would take too long."""
        try:
            return await self._run(check_template, template)
        except TooSlow:
            detail = "A poster of this template takes too long to draw: leave out shapes, or make blurs smaller."
            raise Unprocessable("poster_template_too_slow", detail) from None

    async def normalise(self, content: bytes, purpose: Purpose) -> bytes:
        """An uploaded picture as it is kept; errors as `normalise` has them, and `picture_too_slow` (422)."""
        try:
            return await self._run(normalise, content, purpose)
        except TooSlow:
            raise Unprocessable("picture_too_slow", "The picture takes too long to decode; save it anew.") from None

    async def close(self) -> None:
        """End every drawing process; afterwards nothing is drawn any more."""
        await self._workers.close()
        if self._tidying is not None:
            self._tidying.cancel()
        await asyncio.gather(*self._shelving)

    async def _found_or_drawn(self, key: str, template: Template, poster: PosterInput, form: Format) -> bytes:
        """From what another process drew, where there is such a thing."""
        if self._shelf is None:
            return await self._run(render, template, poster, form)
        self._keep_tidy()
        found = await asyncio.to_thread(self._shelf.get, key)
        if found is None:
            found = await self._run(render, template, poster, form)
            if len(self._shelving) < MOST_SHELVING:
                task = asyncio.create_task(asyncio.to_thread(self._shelf.put, key, found))
                self._shelving.add(task)
                task.add_done_callback(self._shelving.discard)
        return found

    def _keep_tidy(self) -> None:
        """Old posters go although none comes in their place."""
        if self._shelf is not None and self._tidying is None:
            self._tidying = asyncio.create_task(_tidied(self._shelf))

    async def _run(self, function: Callable[..., T], *arguments: Any) -> T:
        if self._asked >= self._queue:
            raise Unavailable("renderer_busy", "Too many pictures are being drawn; try again.", retry_after=1)
        self._asked += 1
        try:
            return await self._workers.run(self._seconds, function, *arguments)
        finally:
            self._asked -= 1

    def _finish(self, key: str, done: asyncio.Task[bytes]) -> None:
        del self._running[key]
        if done.cancelled() or done.exception() is not None:
            return
        self._cache[key] = done.result()
        self._cached += len(done.result())
        while self._cached > self._cache_bytes:
            _, oldest = self._cache.popitem(last=False)
            self._cached -= len(oldest)


async def _tidied(shelf: Shelf) -> None:
    while True:
        await asyncio.to_thread(shelf.tidy)
        await asyncio.sleep(TIDY_SECONDS)
