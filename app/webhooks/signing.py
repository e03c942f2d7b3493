"""Standard Webhooks 1.0: the body of an event, and the headers that prove who sent it."""

from __future__ import annotations

import base64
import secrets
from datetime import datetime
from typing import Any

import msgspec
from standardwebhooks.webhooks import Webhook

from app.db.outbox import OutboxEvent
from app.kit.objects import in_mode


def new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def body_of(event: OutboxEvent, *, livemode: bool) -> bytes:
    """The same bytes on every attempt."""
    message: dict[str, Any] = {
        "id": event.id,
        "object": "event",
        "type": event.type,
        "timestamp": event.occurred_at,
        "livemode": livemode,
        "data": in_mode(event.data, livemode=livemode),
    }
    return msgspec.json.encode(message)


def headers_of(secret: str, event_id: str, body: bytes, at: datetime) -> dict[str, str]:
    """`at` is the moment of this attempt, in UTC: the library reads any other zone's clock face as UTC."""
    if at.utcoffset():
        raise ValueError("signatures want UTC")
    return {
        "content-type": "application/json",
        "user-agent": "Invitree-Webhooks/1",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(event_id, at, body.decode()),
    }
