"""Which provider a merchant's checkouts are paid by, and the way to it."""

from __future__ import annotations

from datetime import datetime

import httpx
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit.errors import Conflict
from app.models import PaymentProvider
from app.orders.providers import credentials
from app.orders.providers.protocol import Kind, Provider, Reader
from app.orders.providers.sandbox import OpenSession, SandboxCashier
from app.orders.providers.sandbox_notices import SandboxReader
from app.orders.providers.signatures import refused
from app.orders.providers.wechat import WechatPay

# Of one call.
TIMEOUT = 8.0


async def choose(session: AsyncSession, *, merchant_id: str, livemode: bool, sandbox_for_live: bool) -> Kind:
    """The cashier for test tenants; Conflict `payment_provider_missing` where a live one has none."""
    if not livemode:
        return "sandbox"
    if await credentials.find(session, merchant_id=merchant_id) is not None:
        return "wechat"
    if sandbox_for_live:
        return "sandbox"
    raise Conflict("payment_provider_missing", "Nothing can be paid: no payment provider is set for this merchant.")


def open_provider(
    kind: str,
    *,
    merchant_id: str,
    row: PaymentProvider | None,
    client: httpx.AsyncClient,
    open_session: OpenSession,
    now: datetime,
) -> Provider:
    """`open_session`: transactions of the tenant's own, for the cashier's books. ValueError without credentials."""
    if kind == "sandbox":
        return SandboxCashier(merchant_id, open_session, now)
    if row is None:
        raise ValueError(f"no credentials for {kind}")
    return WechatPay(merchant_id, credentials.read(row), client)


def open_reader(
    kind: str,
    *,
    merchant_id: str,
    livemode: bool,
    row: PaymentProvider | None,
    client: httpx.AsyncClient,
    sandbox_for_live: bool,
) -> Reader:
    """Unauthorized where the merchant has no such provider: nobody could have signed."""
    if kind == "sandbox" and (sandbox_for_live or not livemode):
        return SandboxReader(merchant_id)
    if kind == "wechat" and livemode and row is not None:
        return WechatPay(merchant_id, credentials.read(row), client)
    raise refused()
