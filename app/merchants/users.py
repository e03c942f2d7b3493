"""People of a merchant. They do not log in: they are who acts on the command line, and who may approve."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from app import audit
from app.kit import ids
from app.models import MerchantUser


async def create(session: AsyncSession, *, merchant_id: str, name: str, role: str, actor: str) -> MerchantUser:
    user = MerchantUser(merchant_id=merchant_id, id=ids.new("usr"), name=name, role=role)
    session.add(user)
    await session.flush()
    audit.record(
        session,
        merchant_id=merchant_id,
        actor=actor,
        action="merchant_user.created",
        subject_id=user.id,
        detail={"role": role},
    )
    return user
