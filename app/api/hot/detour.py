"""What is not hot about a hot route goes the usual way: every error, told, logged and counted as any other's."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from app.api.errors import translate
from app.api.middleware import REQUESTS, SECONDS, Edge, observe
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

    async def refuse(self, error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
        known = translate(error)
        if known is not None and known.status >= 500:
            log.warning("request_refused", code=known.code, error=repr(error))
        scope["route"] = self._route
        await self.edge.refuse(known or error, scope, receive, send)
