"""What a process holds open for its whole life, made once by each edge: API, worker, command line."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import gettempdir

from redis.asyncio import Redis

from app.db import roles
from app.db.redis import connect_redis as connect_redis
from app.db.session import Database
from app.kit import logging
from app.kit.errors import Conflict
from app.kit.outages import Outages
from app.poster.renderer import Renderer
from app.poster.shelf import Shelf
from app.settings import Settings
from app.tracking import shards
from app.tracking.leases import Leases
from app.tracking.tracker import Tracker

log = logging.get(__name__)
# Why a process must not run, in a sentence that says what to do.
REFUSALS = (Conflict, roles.UnboundRoleError)
REFUSED_EXIT = 3


@dataclass(slots=True)
class Resources:
    settings: Settings
    db: Database
    redis: Redis
    renderer: Renderer
    tracker: Tracker
    leases: Leases
    outages: Outages = field(default_factory=Outages)


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Resources]:
    db, redis = Database.from_settings(settings), connect_redis(settings.redis_url)
    renderer = Renderer(shelf=_shelf(settings))
    tracker = Tracker(db, redis, shards=settings.track_shards, secret=settings.keyring().secret_key)
    leases = Leases(db)
    try:
        yield Resources(settings, db, redis, renderer, tracker, leases)
    finally:
        await leases.release()
        await tracker.close()
        await renderer.close()
        await redis.aclose()
        await db.close()


async def require_fit(resources: Resources) -> bool:
    """One of REFUSALS where this process must not run on this database; False where that could not be asked for."""
    is_checked = await roles.require_bound(resources.db)
    try:
        await resources.tracker.agreement.require()
    except shards.AWAY as error:
        is_checked = False
        if resources.outages.is_news("start"):
            log.warning("start_not_checked", error=repr(error))
    return is_checked


def _shelf(settings: Settings) -> Shelf | None:
    most = settings.poster_cache_megabytes * 1024 * 1024
    return (
        Shelf(settings.poster_cache_dir or Path(gettempdir()) / f"invitree-posters-{os.getuid()}", most)
        if most
        else None
    )
