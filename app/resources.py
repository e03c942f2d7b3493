"""What a process holds open for its whole life, made once by each edge: API, worker, command line."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from redis.asyncio import Redis

from app.db.redis import connect_redis as connect_redis
from app.db.session import Database
from app.poster.renderer import Renderer
from app.settings import Settings
from app.tracking.leases import Leases
from app.tracking.tracker import Tracker


@dataclass(slots=True)
class Resources:
    settings: Settings
    db: Database
    redis: Redis
    renderer: Renderer
    tracker: Tracker
    leases: Leases


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Resources]:
    db, redis, renderer = Database.from_settings(settings), connect_redis(settings.redis_url), Renderer()
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
