"""Who acts on payouts, and the record of it."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app import audit
from app.db.rows import get_row
from app.models import MerchantUser
from app.payouts import rules
from app.payouts.rules import Step


async def require(session: AsyncSession, *, merchant_id: str, actor_id: str, step: Step) -> None:
    """`actor_id` is a merchant user, whose role decides, or the API key of a server that acts on its own."""
    if actor_id.startswith("key_"):
        return
    user = await get_row(session, MerchantUser, merchant_id=merchant_id, row_id=actor_id, noun="merchant_user")
    rules.require_role(user.role, step)


def record(
    session: AsyncSession,
    *,
    merchant_id: str,
    actor_id: str,
    action: str,
    subject_id: str,
    reason: str | None = None,
    **detail: Any,
) -> None:
    """Names no people and no accounts: ids and sums only."""
    own: dict[str, Any] = {"merchant_id": merchant_id, "actor": actor_id, "action": action, "subject_id": subject_id}
    audit.record(session, **own, reason=reason, detail=detail)
