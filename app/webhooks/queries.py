from __future__ import annotations

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.pages import Page, PageQuery, fetch_page
from app.models import WebhookDelivery, WebhookEndpoint


async def endpoints_page(session: AsyncSession, *, merchant_id: str, query: PageQuery) -> Page[WebhookEndpoint]:
    return await fetch_page(session, select(WebhookEndpoint).where(WebhookEndpoint.merchant_id == merchant_id), query)


async def deliveries_page(session: AsyncSession, *, merchant_id: str, query: PageQuery) -> Page[WebhookDelivery]:
    return await fetch_page(session, select(WebhookDelivery).where(WebhookDelivery.merchant_id == merchant_id), query)


async def is_awaited(session: AsyncSession, *, merchant_id: str, type_: str) -> bool:
    """Whether any endpoint takes events of this type."""
    takes = WebhookEndpoint.types.op("&&")([type_, "*"])
    own = (WebhookEndpoint.merchant_id == merchant_id) & WebhookEndpoint.disabled_at.is_(None)
    return bool(await session.scalar(select(exists().where(own, takes))))
