"""Time. A test tenant's clock runs ahead of the real one by its own offset."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")
DAY_SECONDS = 86_400


def utcnow() -> datetime:
    return datetime.now(UTC)


def tenant_now(offset_seconds: int) -> datetime:
    return utcnow() + timedelta(seconds=offset_seconds)


def days(count: int) -> timedelta:
    return timedelta(seconds=count * DAY_SECONDS)


def shanghai(instant: datetime) -> datetime:
    """What people in China see."""
    return instant.astimezone(SHANGHAI)
