"""From the outbox to the endpoints: fan out, claim, record. Done by the worker as *system*, over all merchants.

The call itself stands between two transactions. A worker that dies in between lets its claim run out, and another one
delivers again under the same `webhook-id`: at least once, and tellable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import outbox
from app.db.outbox import OutboxEvent
from app.kit import ids
from app.models import Merchant, WebhookDelivery, WebhookEndpoint
from app.webhooks import rules, signing

GONE = 410


@dataclass(frozen=True, slots=True)
class Attempt:
    """One claimed delivery. `number` guards its outcome: a claim that ran out must not overwrite a later one."""

    merchant_id: str
    delivery_id: str
    endpoint_id: str
    event_id: str
    number: int
    url: str
    secret: str = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """`status` of the answer, or the `error` why there was none."""

    status: int | None = None
    error: str | None = None


async def fan_out(session: AsyncSession, *, limit: int) -> int:
    """Due events → one delivery for each endpoint that wants it. An event that nobody wants is just finished."""
    events = await outbox.lease(session, limit=limit)
    if not events:
        return 0
    endpoints = await _endpoints_of(session, {event.merchant_id for event in events})
    rows = [
        {"merchant_id": event.merchant_id, "id": ids.new("dlv"), "endpoint_id": endpoint.id, "event_id": event.id}
        for event in events
        for endpoint in endpoints
        if endpoint.merchant_id == event.merchant_id and rules.wants(endpoint.types, event.type)
    ]
    if rows:
        await session.execute(insert(WebhookDelivery).on_conflict_do_nothing(), rows)
    await outbox.finish(session, events)
    return len(events)


async def claim(session: AsyncSession, *, limit: int, seconds: int) -> list[Attempt]:
    """Take due deliveries for `seconds`, the time in which their outcome must be recorded."""
    due = (
        select(WebhookDelivery, WebhookEndpoint, OutboxEvent, Merchant.livemode)
        .join(WebhookEndpoint, _same_tenant(WebhookEndpoint) & (WebhookEndpoint.id == WebhookDelivery.endpoint_id))
        .join(OutboxEvent, _same_tenant(OutboxEvent) & (OutboxEvent.id == WebhookDelivery.event_id))
        .join(Merchant, Merchant.id == WebhookDelivery.merchant_id)
        .where(WebhookDelivery.status == "pending", WebhookDelivery.next_attempt_at <= func.now())
        .order_by(WebhookDelivery.next_attempt_at)
        .limit(limit)
        .with_for_update(skip_locked=True, of=WebhookDelivery)
    )
    attempts = []
    for delivery, endpoint, event, livemode in (await session.execute(due)).all():
        delivery.attempts += 1
        delivery.next_attempt_at = func.now() + timedelta(seconds=seconds)
        body = signing.body_of(event, livemode=livemode)
        place = (delivery.merchant_id, delivery.id, endpoint.id, event.id)
        attempts.append(Attempt(*place, delivery.attempts, endpoint.url, endpoint.secret, body))
    await session.flush()
    return attempts


async def record(session: AsyncSession, *, attempt: Attempt, outcome: Outcome) -> None:
    """What became of an attempt: delivered, to be tried again, or given up after the last one."""
    wait = rules.wait_after(attempt.number)
    values: dict[str, Any] = {"last_status": outcome.status, "last_error": outcome.error}
    if outcome.status is not None and rules.is_taken(outcome.status):
        values |= {"status": "delivered", "delivered_at": func.now()}
    elif wait is None or outcome.status == GONE:
        values |= {"status": "failed"}
    else:
        values |= {"next_attempt_at": func.now() + wait}
    still_ours = (
        WebhookDelivery.merchant_id == attempt.merchant_id,
        WebhookDelivery.id == attempt.delivery_id,
        WebhookDelivery.status == "pending",
        WebhookDelivery.attempts == attempt.number,
    )
    await session.execute(update(WebhookDelivery).where(*still_ours).values(values))
    if outcome.status == GONE:
        await _disable(session, attempt)


async def _disable(session: AsyncSession, attempt: Attempt) -> None:
    """410 says that the endpoint is gone for good; what still waits for it is given up."""
    its = (WebhookDelivery.merchant_id == attempt.merchant_id, WebhookDelivery.endpoint_id == attempt.endpoint_id)
    gone = (WebhookEndpoint.merchant_id == attempt.merchant_id, WebhookEndpoint.id == attempt.endpoint_id)
    await session.execute(update(WebhookEndpoint).where(*gone).values(disabled_at=func.now()))
    waiting = update(WebhookDelivery).where(*its, WebhookDelivery.status == "pending")
    await session.execute(waiting.values(status="failed", last_error="the endpoint is gone"))


async def _endpoints_of(session: AsyncSession, merchant_ids: set[str]) -> Sequence[Row[tuple[str, str, list[str]]]]:
    """Merchant, id and types; locked against being deleted until the deliveries to them are in."""
    statement = select(WebhookEndpoint.merchant_id, WebhookEndpoint.id, WebhookEndpoint.types).where(
        WebhookEndpoint.merchant_id.in_(sorted(merchant_ids)), WebhookEndpoint.disabled_at.is_(None)
    )
    return (await session.execute(statement.with_for_update(read=True, key_share=True))).all()


def _same_tenant(model: Any) -> Any:
    return model.merchant_id == WebhookDelivery.merchant_id
