"""The application as the server calls it: some paths are answered before the framework is asked."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send

from app.api.hot import description
from app.api.hot.detour import Detour
from app.api.hot.events import EVENTS, Events
from app.api.hot.invite_link import INVITE_LINKS, InviteLinks
from app.api.hot.orders import ORDERS, Orders
from app.api.middleware import Edge
from app.api.protocol import ShortWay
from app.resources import Resources


class Front(FastAPI):
    """Describes all routes; the framework's are served behind `Edge`, ours beside it. Orders are both's.

    `is_refused`: the start was, and why has been told.
    """

    is_refused = False

    def open(self, resources: Resources, edge: Edge) -> None:
        """Before the first request."""
        self.state.resources = resources
        self._events = Events(resources, Detour(edge, EVENTS, ("POST",)))
        self._orders = Orders(resources, Detour(edge, ORDERS, ("POST",)), super().__call__)
        self._invite_links = InviteLinks(resources, Detour(edge, INVITE_LINKS, ("GET", "HEAD")))

    def short_way(self, url: bytes) -> ShortWay | None:
        """As the server's protocol asks for it."""
        if url.startswith(b"/i/"):
            return self._invite_links.at_once
        return self._events.at_once if url.startswith(b"/v1/events") else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path: str = scope["path"]
            if path.startswith("/i/") and path.find("/", 3) < 0:
                await self._invite_links(scope, receive, send)
                return
            if path == EVENTS:
                await self._events(scope, receive, send)
                return
            if path == ORDERS and scope["method"] == "POST":
                await self._orders(scope, receive, send)
                return
        await super().__call__(scope, receive, self._without_frames(send) if scope["type"] == "lifespan" else send)

    def _without_frames(self, send: Send) -> Send:
        """A start that was refused is told in a sentence: what the server would print is where in the code that was."""

        async def tell(message: Message) -> None:
            await send({**message, "message": ""} if self.is_refused else message)

        return tell

    def openapi(self) -> dict[str, Any]:
        described = self.openapi_schema is not None
        schema = super().openapi()
        if not described:
            description.add(schema)
        return schema
