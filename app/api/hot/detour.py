"""What is not hot about a hot route goes the usual way: every error, told, logged and counted as any other's."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from app.api.errors import translate
from app.api.hot.answers import rendered
from app.api.middleware import REQUESTS, SECONDS, Edge, observe
from app.api.protocol import Exchange, Headers
from app.kit import logging
from app.kit.errors import BadRequest

log = logging.get(__name__)


@dataclass(frozen=True, slots=True)
class Route:
    """What the metrics call it; where the framework has its own kind of route, too."""

    path: str


def nul_byte() -> BadRequest:
    return BadRequest("nul_byte", "The address holds a NUL byte.")


class Detour:
    """Of one route: its path as described, and the methods that it knows."""

    def __init__(self, edge: Edge, path: str, methods: tuple[str, ...]) -> None:
        self.edge, self.methods = edge, methods
        self._route = Route(path)
        self._allow = ", ".join(methods).encode()
        self._histogram = SECONDS.labels(path)
        self._answers: dict[tuple[str, int], list[float]] = {}
        self._refusals: set[asyncio.Task[None]] = set()

    def count(self, method: str, status: int, started: float) -> None:
        """An answer that went no detour. Those of one turn of the loop, a batch's mostly, are told together."""
        seconds = self._answers.get((method, status))
        if seconds is None:
            asyncio.get_running_loop().call_soon(self._tell_counts)
            seconds = self._answers[method, status] = []
        seconds.append(time.perf_counter() - started)

    def _tell_counts(self) -> None:
        answers, self._answers = self._answers, {}
        for (method, status), seconds in answers.items():
            REQUESTS.labels(method, self._route.path, status).inc(len(seconds))
            observe(self._histogram, seconds)

    def check(self, scope: Scope) -> None:
        """What `Edge` asks of every request, and the router of its route."""
        if scope["method"] not in self.methods:
            scope.setdefault("state", {})["answer_headers"] = [(b"allow", self._allow)]
            raise HTTPException(405)
        if b"%00" in scope["raw_path"] or b"%00" in scope["query_string"]:
            raise nul_byte()

    def refuse_from_here(self, error: Exception, exchange: Exchange, method: str, headers: Headers) -> None:
        """As `refuse`, on the shorter way."""
        task = asyncio.create_task(self._refuse_from_here(error, exchange, method, headers))
        self._refusals.add(task)
        task.add_done_callback(self._refusals.discard)

    async def _refuse_from_here(self, error: Exception, exchange: Exchange, method: str, headers: Headers) -> None:
        path = self._route.path
        scope: Scope = {
            "type": "http",
            "method": method,
            "scheme": "http",
            "server": None,
            "client": exchange.client,
            "root_path": "",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": headers,
        }
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        await self.refuse(error, scope, _nothing, send)
        start, *bodies = sent
        status = HTTPStatus(start["status"])
        head = f"HTTP/1.1 {status} {status.phrase}\r\n{rendered(start['headers'])}"
        exchange.answer(head.encode("latin-1"), b"".join(message.get("body", b"") for message in bodies))

    async def refuse(self, error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
        known = translate(error)
        if known is not None and known.status >= 500:
            log.warning("request_refused", code=known.code, error=repr(error))
        scope["route"] = self._route
        await self.edge.refuse(known or error, scope, receive, send)


async def _nothing() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}
