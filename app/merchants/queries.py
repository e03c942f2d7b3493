from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.pages import Page, PageQuery, fetch_page
from app.models import ApiKey, MerchantUser


async def users_page(session: AsyncSession, *, merchant_id: str, query: PageQuery) -> Page[MerchantUser]:
    return await fetch_page(session, select(MerchantUser).where(MerchantUser.merchant_id == merchant_id), query)


async def keys_page(session: AsyncSession, *, merchant_id: str, query: PageQuery) -> Page[ApiKey]:
    """Revoked and expired keys, too: an auditor asks for them."""
    return await fetch_page(session, select(ApiKey).where(ApiKey.merchant_id == merchant_id), query)
