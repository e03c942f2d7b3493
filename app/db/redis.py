"""How every process talks to Redis: one server, or a Redis Cluster behind the same interface."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

from app.db.cluster import Cluster
from app.db.direct import DirectRedis
from app.kit import redis_urls


def connect_redis(url: str) -> Redis:
    """Opens nothing yet. ValueError where the URL is none."""
    cluster = redis_urls.parse(url)
    return DirectRedis.from_url(url, **_options()) if cluster is None else Cluster(cluster, **_options())


def _options() -> dict[str, Any]:
    """Nothing is sent twice: the default client repeated an INCR through a stall, and counted twice."""
    return {
        "socket_timeout": 0.5,
        "socket_connect_timeout": 0.5,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_error": [],
        "health_check_interval": 0,
        # By which a server could make the time-outs longer.
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }


async def masters(redis: Redis) -> dict[str, Redis]:
    """The servers that hold the data, by their addresses; a single one by an empty name."""
    return await redis.masters() if isinstance(redis, Cluster) else {"": redis}


async def master_of(redis: Redis, key: str) -> str:
    """The address of the one that has this key."""
    return await redis.master_of(key) if isinstance(redis, Cluster) else ""
