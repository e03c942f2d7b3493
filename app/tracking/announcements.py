"""A process's codes kept up to date with what is announced about campaigns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.campaigns.announcements import CHANNEL
from app.db.listen import Listener
from app.db.session import Database
from app.tracking import metrics
from app.tracking.codes import CodeCache


@asynccontextmanager
async def followed(codes: CodeCache, db: Database, url: str) -> AsyncIterator[Listener]:
    """Heard as long as this is open; `url` is a role's that may connect, straight to the database."""

    def turn(is_heard: bool) -> None:
        metrics.LISTENING.set(is_heard)
        codes.listen(is_heard)

    listener = Listener(db, url, CHANNEL, heard=codes.forget, turned=turn)
    task = asyncio.create_task(listener.run())
    try:
        yield listener
    finally:
        task.cancel()
        await asyncio.wait([task])
