"""What all signed notifications have in common."""

from __future__ import annotations

from app.kit import clock
from app.kit.errors import Unauthorized

MAX_AGE_SECONDS = 300


def is_fresh(stamp: str) -> bool:
    """By the real clock, whatever the tenant's says."""
    return stamp.isascii() and stamp.isdigit() and abs(clock.utcnow().timestamp() - int(stamp[:12])) <= MAX_AGE_SECONDS


def refused() -> Unauthorized:
    """The one answer, so that none of its reasons can be told from another."""
    return Unauthorized("notification_signature_invalid", "This is not signed by the provider, or not just now.")
