"""`/healthz` (the process lives), `/readyz` (it can serve), `/metrics`."""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from redis.exceptions import RedisError
from sqlalchemy import text

from app.api.deps import ResourcesDep
from app.kit.errors import Unavailable
from app.resources import Resources

router = APIRouter(tags=["operations"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(resources: ResourcesDep) -> dict[str, str]:
    """Redis away is no reason to stop serving: money and names need Postgres alone."""
    async with resources.db.system() as session:
        ready = await session.scalar(text("SELECT count(*) FROM plans"))
    if not ready:
        raise Unavailable("not_migrated", "The schema is not in place; run `invitree migrate`.", retry_after=5)
    await resources.tracker.agreement.require_now()
    return {"status": "ok", "database": "ok", "redis": await _redis_state(resources)}


@router.get("/metrics", include_in_schema=False)
async def metrics() -> Response:
    return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _redis_state(resources: Resources) -> str:
    try:
        await resources.redis.ping()
    except (RedisError, OSError):
        return "away"
    return "ok"
