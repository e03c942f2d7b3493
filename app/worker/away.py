"""Redis, away from one of the worker's tasks: tasks try again ten times a second, and say so now and then."""

from __future__ import annotations

from app.kit import logging
from app.resources import Resources

log = logging.get(__name__)


def tell(resources: Resources, error: Exception, *, task: str, shard: int) -> None:
    if resources.outages.is_news((task, shard)):
        log.warning("redis_away", task=task, shard=shard, error=repr(error))


def is_back(resources: Resources, *, task: str, shard: int) -> None:
    """Said of every attempt that went well."""
    seconds = resources.outages.ended((task, shard))
    if seconds is not None:
        log.warning("redis_back", task=task, shard=shard, after_seconds=round(seconds))
