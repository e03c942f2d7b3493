"""The application behind the server's own protocol, on a real socket of this loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import uvicorn
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from app.api.protocol import BoundedProtocol

# As the application answers by itself, and as its server's protocol does for it.
WAYS = ("application", "server")
DATE = (b"date", b"Sun, 22 Nov 2026 00:00:00 GMT")


@contextlib.asynccontextmanager
async def served(app: ASGIApp, **options: Any) -> AsyncIterator[int]:
    """The port."""
    quiet: dict[str, Any] = {"lifespan": "off", "log_level": "critical", "access_log": False, "proxy_headers": False}
    config = uvicorn.Config(app, http=BoundedProtocol, **quiet, **options)
    config.load()
    state = ServerState()
    state.default_headers = [DATE]
    server = await asyncio.get_running_loop().create_server(lambda: BoundedProtocol(config, state, {}), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@contextlib.asynccontextmanager
async def way_to(app: ASGIApp, name: str) -> AsyncIterator[httpx.AsyncBaseTransport]:
    """One of `WAYS`."""
    if name == "application":
        yield httpx.ASGITransport(app)
        return
    async with served(app) as port:
        yield ToPort(port)


class ToPort(httpx.AsyncBaseTransport):
    """Whatever host is named, there."""

    def __init__(self, port: int) -> None:
        self._port, self._inner = port, httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(scheme="http", host="127.0.0.1", port=self._port)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()
