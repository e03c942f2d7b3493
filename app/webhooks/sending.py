"""One HTTP call to an endpoint: short, without redirects, and only to an address that was checked."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable

import httpx

from app.kit import clock
from app.webhooks import rules, signing
from app.webhooks.deliveries import Attempt, Outcome

TIMEOUT = 10.0
Resolve = Callable[[str, int], Awaitable[list[rules.Address]]]


class AddressRefused(Exception):
    """A name that leads into a private network."""


def new_client() -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=TIMEOUT, follow_redirects=False, trust_env=False)


async def resolve(host: str, port: int) -> list[rules.Address]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ipaddress.ip_address(str(place[0]).partition("%")[0]) for *_, place in found]


async def post(
    client: httpx.AsyncClient, attempt: Attempt, *, development: bool, resolve: Resolve = resolve
) -> Outcome:
    """Sign for this moment and send; never raises for what an endpoint does."""
    headers = signing.headers_of(attempt.secret, attempt.event_id, attempt.body, clock.utcnow())
    try:
        async with asyncio.timeout(TIMEOUT + 5):
            request = await _request(client, attempt, headers, development, resolve)
            answer = await client.send(request, stream=True)
            await answer.aclose()
    except (httpx.HTTPError, OSError, AddressRefused, ValueError) as error:
        return Outcome(error=f"{type(error).__name__}: {error}"[:300])
    return Outcome(status=answer.status_code)


async def _request(
    client: httpx.AsyncClient, attempt: Attempt, headers: dict[str, str], development: bool, resolve: Resolve
) -> httpx.Request:
    """To the very address that was checked: resolving twice would let a name change its mind in between."""
    url = httpx.URL(attempt.url)
    addresses = await resolve(url.host, url.port or (443 if url.scheme == "https" else 80))
    if not addresses or not all(rules.may_call(address, development=development) for address in addresses):
        raise AddressRefused(f"{url.host} does not lead to the public Internet")
    return client.build_request(
        "POST",
        url.copy_with(host=str(addresses[0])),
        headers={"host": url.netloc.decode(), **headers},
        content=attempt.body,
        extensions={"sni_hostname": url.host},
    )
