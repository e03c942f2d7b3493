from __future__ import annotations

import struct

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit import crypto


async def hold_external_order(session: AsyncSession, *, merchant_id: str, external_order_id: str) -> None:
    """Queue behind whoever is at this order id, until the transaction ends.

    A row lock cannot do it: the order may not exist yet. Without, an order and a refund that comes before it could
    commit at once without seeing each other, and the refund would stay parked for ever.
    """
    await session.execute(select(func.pg_advisory_xact_lock(number_of(merchant_id, external_order_id))))


async def hold_payment(session: AsyncSession, *, merchant_id: str, provider: str, external_id: str) -> None:
    """Queue behind whoever takes this payment of the provider's. Two checkouts that it is told of at once could not see
    each other, and the unique index would be met by the second one as a fault."""
    (number,) = struct.unpack(">q", crypto.fingerprint("payment", merchant_id, provider, external_id)[:8])
    await session.execute(select(func.pg_advisory_xact_lock(number)))


def number_of(merchant_id: str, external_order_id: str) -> int:
    """Of the lock."""
    (number,) = struct.unpack(">q", crypto.fingerprint("external_order", merchant_id, external_order_id)[:8])
    return int(number)
