"""Time. A test tenant's clock runs ahead of the real one by its own offset."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from pydantic_core import PydanticCustomError

SHANGHAI = ZoneInfo("Asia/Shanghai")
DAY_SECONDS = 86_400
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d")


def utcnow() -> datetime:
    return datetime.now(UTC)


def tenant_now(offset_seconds: int) -> datetime:
    return utcnow() + timedelta(seconds=offset_seconds)


def days(count: int) -> timedelta:
    return timedelta(seconds=count * DAY_SECONDS)


def shanghai(instant: datetime) -> datetime:
    """What people in China see."""
    return instant.astimezone(SHANGHAI)


def spelled_out(value: Any) -> Any:
    """An instant as clients send it, unchanged. A number is refused: it could be seconds or milliseconds."""
    if isinstance(value, datetime) or (isinstance(value, str) and _RFC_3339.match(value)):
        return value
    raise PydanticCustomError("instant_invalid", "should be an RFC 3339 instant with a zone, as text")
