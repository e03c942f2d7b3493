"""Who did what to what, and why: rows that the runtime can only add."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.kit import ids
from app.models import AuditEntry


def record(
    session: AsyncSession,
    *,
    merchant_id: str,
    actor: str,
    action: str,
    subject_id: str,
    reason: str | None = None,
    detail: dict[str, Any] | None = None,
    at: datetime | None = None,
) -> None:
    """`actor` is a key's or user's id, or what started it: `registration`, `command_line`, `schedule`. `detail` names
    no people. `at`: without it, the transaction's own time."""
    entry = AuditEntry(
        merchant_id=merchant_id,
        id=ids.new("aud"),
        actor=actor,
        action=action,
        subject_id=subject_id,
        reason=reason,
        detail=detail or {},
    )
    if at is not None:
        entry.at = at
    session.add(entry)
