"""What a merchant does with its endpoints and deliveries."""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit import ids
from app.kit.errors import Conflict, not_found
from app.models import WebhookDelivery, WebhookEndpoint
from app.webhooks import signing, urls

MAX_ENDPOINTS = 16
Row = TypeVar("Row", WebhookEndpoint, WebhookDelivery)


async def create_endpoint(
    session: AsyncSession, *, merchant_id: str, url: str, types: list[str], development: bool
) -> WebhookEndpoint:
    """An endpoint for events of `types` (`*`: all) from now on; its secret is shown once."""
    urls.check_url(url, development=development)
    owned = select(func.count()).select_from(WebhookEndpoint).where(WebhookEndpoint.merchant_id == merchant_id)
    if (await session.scalar(owned) or 0) >= MAX_ENDPOINTS:
        raise Conflict("webhook_endpoint_limit", f"A merchant has at most {MAX_ENDPOINTS} endpoints: delete one first.")
    endpoint = WebhookEndpoint(
        merchant_id=merchant_id, id=ids.new("whe"), url=url, secret=signing.new_secret(), types=types
    )
    session.add(endpoint)
    await session.flush()
    return endpoint


async def delete_endpoint(session: AsyncSession, *, merchant_id: str, endpoint_id: str) -> None:
    """Also its deliveries. Locked first: the fan-out may be adding one at this moment."""
    endpoint = await _lock(session, WebhookEndpoint, merchant_id, endpoint_id, "webhook_endpoint")
    its = (WebhookDelivery.merchant_id == merchant_id) & (WebhookDelivery.endpoint_id == endpoint_id)
    await session.execute(delete(WebhookDelivery).where(its))
    await session.delete(endpoint)
    await session.flush()


async def resend(session: AsyncSession, *, merchant_id: str, delivery_id: str) -> WebhookDelivery:
    """Deliver once more, with the same `webhook-id`, as if for the first time. One that still waits goes at once."""
    delivery = await _lock(session, WebhookDelivery, merchant_id, delivery_id, "webhook_delivery")
    endpoint = await session.get_one(WebhookEndpoint, (merchant_id, delivery.endpoint_id))
    if endpoint.disabled_at is not None:
        raise Conflict("webhook_endpoint_disabled", "The endpoint answered 410 Gone: make a new one.")
    delivery.status, delivery.attempts, delivery.delivered_at = "pending", 0, None
    delivery.next_attempt_at = func.now()
    await session.flush()
    await session.refresh(delivery)
    return delivery


async def _lock(session: AsyncSession, model: type[Row], merchant_id: str, row_id: str, noun: str) -> Row:
    column: Any = model.id
    try:
        ids.decode(column.type.prefix, row_id)
    except ValueError:
        raise not_found(noun) from None
    found = await session.scalar(
        select(model).where(model.merchant_id == merchant_id, column == row_id).with_for_update()
    )
    if found is None:
        raise not_found(noun)
    return found
