"""Events out of the outbox to the endpoints that want them."""

from __future__ import annotations

import asyncio

import httpx

from app.kit import logging
from app.resources import Resources
from app.webhooks import deliveries, sending
from app.webhooks.deliveries import Attempt, Outcome

log = logging.get(__name__)
EVENTS_AT_ONCE = 500
CALLS_AT_ONCE = 50
# Longer than the slowest call, so that a claim runs out only where its worker died.
CLAIM_SECONDS = 60


async def fan_out(resources: Resources) -> int:
    async with resources.db.system() as session:
        return await deliveries.fan_out(session, limit=EVENTS_AT_ONCE)


async def deliver(resources: Resources) -> int:
    async with resources.db.system() as session:
        attempts = await deliveries.claim(session, limit=CALLS_AT_ONCE, seconds=CLAIM_SECONDS)
    if attempts:
        async with sending.new_client() as client, asyncio.TaskGroup() as group:
            for attempt in attempts:
                group.create_task(_deliver_one(resources, client, attempt))
    return len(attempts)


async def _deliver_one(resources: Resources, client: httpx.AsyncClient, attempt: Attempt) -> None:
    development = resources.settings.environment == "development"
    try:
        outcome = await sending.post(client, attempt, development=development)
    except Exception as error:  # nobody else's delivery waits for what one merchant's does
        log.exception("webhook_faulty", merchant_id=attempt.merchant_id, delivery_id=attempt.delivery_id)
        outcome = Outcome(error=type(error).__name__)
    async with resources.db.system() as session:
        await deliveries.record(session, attempt=attempt, outcome=outcome)
