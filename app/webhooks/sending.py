"""One HTTP call to an endpoint: short, without redirects, and only to an address that was checked."""

from __future__ import annotations

import asyncio

import httpx

from app.kit import clock, outward
from app.kit.outward import Resolve
from app.webhooks import signing
from app.webhooks.deliveries import Attempt, Outcome

TIMEOUT = 10.0


def new_client() -> httpx.AsyncClient:
    return outward.new_client(TIMEOUT)


async def post(
    client: httpx.AsyncClient, attempt: Attempt, *, development: bool, resolve: Resolve = outward.resolve
) -> Outcome:
    """Sign for this moment and send; never raises for what an endpoint does."""
    headers = signing.headers_of(attempt.secret, attempt.event_id, attempt.body, clock.utcnow())
    try:
        async with asyncio.timeout(TIMEOUT + 5):
            request = await outward.request(
                client,
                "POST",
                attempt.url,
                development=development,
                headers=headers,
                content=attempt.body,
                resolve=resolve,
            )
            answer = await client.send(request, stream=True)
            await answer.aclose()
    except (httpx.HTTPError, OSError, outward.AddressRefused, httpx.InvalidURL, ValueError) as error:
        return Outcome(error=f"{type(error).__name__}: {error}"[:300])
    return Outcome(status=answer.status_code)
