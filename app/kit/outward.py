"""Calls to addresses that strangers gave: only to the public Internet, and to the very address that was checked."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Mapping

import httpx

from app.kit.addresses import Address, may_call

Resolve = Callable[[str, int], Awaitable[list[Address]]]


class AddressRefused(Exception):
    """A name that leads into a private network."""


async def resolve(host: str, port: int) -> list[Address]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ipaddress.ip_address(str(place[0]).partition("%")[0]) for *_, place in found]


def new_client(timeout: float) -> httpx.AsyncClient:
    # Connections are kept by address: two hosts behind one would share what was encrypted for the first.
    alone = httpx.Limits(max_connections=100, max_keepalive_connections=0)
    return httpx.AsyncClient(timeout=timeout, follow_redirects=False, trust_env=False, limits=alone)


async def request(
    client: httpx.AsyncClient,
    method: str,
    address: str,
    *,
    development: bool,
    headers: Mapping[str, str] | None = None,
    content: bytes | None = None,
    resolve: Resolve = resolve,
) -> httpx.Request:
    """To the very address that was checked: resolving twice would let a name change its mind in between.

    AddressRefused where one of its addresses may not be called.
    """
    url = httpx.URL(address)
    addresses = await resolve(url.host, url.port or (443 if url.scheme == "https" else 80))
    if not addresses or not all(may_call(each, development=development) for each in addresses):
        raise AddressRefused(f"{url.host} does not lead to the public Internet")
    return client.build_request(
        method,
        url.copy_with(host=str(addresses[0])),
        headers={"host": url.netloc.decode(), **(headers or {})},
        content=content,
        extensions={"sni_hostname": url.host},
    )
