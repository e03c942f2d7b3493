"""Who did what to what: rows that the runtime can only add."""

from __future__ import annotations

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
    detail: dict[str, Any] | None = None,
) -> None:
    """`actor` is a key's or user's id, or what started it: `registration`, `command_line`. `detail` names no people."""
    entry = AuditEntry(
        merchant_id=merchant_id,
        id=ids.new("aud"),
        actor=actor,
        action=action,
        subject_id=subject_id,
        detail=detail or {},
    )
    session.add(entry)
