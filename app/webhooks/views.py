from __future__ import annotations

from typing import Any

from app.models import WebhookDelivery, WebhookEndpoint


def endpoint_view(endpoint: WebhookEndpoint) -> dict[str, Any]:
    return {
        "id": endpoint.id,
        "object": "webhook_endpoint",
        "url": endpoint.url,
        "types": endpoint.types,
        "disabled_at": endpoint.disabled_at,
        "metadata": {},
        "created_at": endpoint.created_at,
    }


def new_endpoint_view(endpoint: WebhookEndpoint) -> dict[str, Any]:
    """The only view with the secret: the answer to its creation."""
    return endpoint_view(endpoint) | {"secret": endpoint.secret}


def delivery_view(delivery: WebhookDelivery) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "object": "webhook_delivery",
        "endpoint_id": delivery.endpoint_id,
        "event_id": delivery.event_id,
        "status": delivery.status,
        "attempts": delivery.attempts,
        "next_attempt_at": delivery.next_attempt_at if delivery.status == "pending" else None,
        "last_status": delivery.last_status,
        "last_error": delivery.last_error,
        "delivered_at": delivery.delivered_at,
        "metadata": {},
        "created_at": delivery.created_at,
    }
