"""The outermost layer, as plain ASGI: request ids, size limits, security headers, access log, metrics."""

from __future__ import annotations

import asyncio
import re
import time
from bisect import bisect_left
from collections import Counter as Counting
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import structlog
from prometheus_client import Counter, Histogram
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.errors import Tell
from app.kit import ids, logging
from app.kit.errors import BadRequest, InvitreeError, TooLarge

log = logging.get(__name__)

PROBES = frozenset({"/healthz", "/readyz", "/metrics"})  # asked every few seconds, and dull
MAX_BODY = 1024 * 1024
# Nobody is there to be told; for log and metrics, by the name that proxies gave it.
CLIENT_GONE = 499
MAX_UPLOAD = 6 * 1024 * 1024
BODY_SECONDS = 120.0
_REQUEST_ID = re.compile(r"^[A-Za-z0-9_-]{8,64}$")
_RESULTS = re.compile(r"/v1/payout-batches/[^/]+/results")
RESULTS_WAY_OUT = (
    " Send the rows in parts, each with the header, or let `invitree payouts import` read the file: it takes any size."
)
_ID_IN_PATH = re.compile(r"/[a-z]{3,4}_[0-7][0-9a-hjkmnp-tv-z]{25}")

REQUESTS = Counter("invitree_http_requests_total", "Answered requests", ["method", "route", "status"])
SECONDS = Histogram("invitree_http_request_seconds", "Time to answer", ["route"])


def observe(histogram: Histogram, seconds: Sequence[float]) -> None:
    """As `histogram.observe` of each, at a fraction of its price."""
    for place, number in Counting(map(partial(bisect_left, histogram._upper_bounds), seconds)).items():
        histogram._buckets[place].inc(number)
    histogram._sum.inc(sum(seconds))


HSTS = b"strict-transport-security"
SECURITY_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"strict-origin-when-cross-origin",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"cache-control": b"no-store",
}


def default_headers(*, https: bool) -> Mapping[bytes, bytes]:
    return SECURITY_HEADERS | ({HSTS: b"max-age=31536000; includeSubDomains"} if https else {})


class Edge:
    """Wraps the whole application; an answer's own headers win over the defaults here."""

    def __init__(self, app: ASGIApp, *, defaults: Mapping[bytes, bytes], tell: Tell) -> None:
        self.app, self.defaults, self.tell = app, defaults, tell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        await _Exchange(self, scope, receive, send, request_id).run()

    async def refuse(self, error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as if the application had raised this."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - as applications have it
            raise error

        await Edge(app, defaults=self.defaults, tell=self.tell)(scope, receive, send)


class Incoming:
    """A body on its way: not above `limit` bytes, and not for ever."""

    def __init__(self, receive: Receive, limit: int, way_out: str = "") -> None:
        self._receive, self._limit, self._way_out = receive, limit, way_out
        self._received, self._deadline = 0, 0.0
        self.is_whole = False

    def check_length(self, said: bytes | None) -> None:
        """TooLarge before a byte of it has come."""
        if said is not None and said.isdigit() and int(said) > self._limit:
            raise self._too_large()

    async def receive(self) -> Message:
        message = await (self._receive() if self.is_whole else self._in_time())
        if message["type"] == "http.request":
            self.is_whole = not message.get("more_body", False)
            self._received += len(message.get("body", b""))
            if self._received > self._limit:
                raise self._too_large()
        return message

    def _too_large(self) -> TooLarge:
        return TooLarge("body_too_large", f"The body is larger than {self._limit} bytes.{self._way_out}")

    async def _in_time(self) -> Message:
        """Else a body that never ends holds its connection for ever."""
        loop = asyncio.get_running_loop()
        self._deadline = self._deadline or loop.time() + BODY_SECONDS
        try:
            async with asyncio.timeout_at(self._deadline):
                return await self._receive()
        except TimeoutError:
            raise BadRequest("body_too_slow", f"The body did not come within {BODY_SECONDS:.0f} seconds.") from None


class _Exchange:
    def __init__(self, edge: Edge, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        self.edge, self.receive, self.send, self.request_id = edge, receive, send, request_id
        self.method = scope["method"]
        self.scope = as_get(scope)
        is_upload = scope["path"].startswith(("/v1/assets", "/h5/"))
        way_out = RESULTS_WAY_OUT if _RESULTS.fullmatch(scope["path"]) else ""
        self.incoming = Incoming(receive, MAX_UPLOAD if is_upload else MAX_BODY, way_out)
        self.status = 0

    async def run(self) -> None:
        started = time.perf_counter()
        try:
            self._check_head()
            await self.edge.app(self.scope, self.incoming.receive, self.dressed_send)
        except InvitreeError as error:
            await self._refuse(error)
        except ClientDisconnect:
            self.status = CLIENT_GONE
        except Exception as error:  # the last line: a fault of ours is logged whole and told plainly
            log.exception("unhandled_error", path=self.scope["path"])
            if self.status:
                raise
            await self._refuse(InvitreeError("internal_error", "A fault of ours; it was logged under this request_id."))
            del error
        finally:
            self._record(time.perf_counter() - started)

    def _check_head(self) -> None:
        if b"%00" in self.scope["raw_path"] or b"%00" in self.scope["query_string"]:
            raise BadRequest("nul_byte", "The address holds a NUL byte.")
        self.incoming.check_length(dict(self.scope["headers"]).get(b"content-length"))

    async def dressed_send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers: list[tuple[bytes, bytes]] = message.setdefault("headers", [])
            present = {name.lower() for name, _ in headers}
            headers.append((b"request-id", self.request_id.encode()))
            headers.extend(self.scope["state"].get("answer_headers", ()))
            headers.extend(pair for pair in self.edge.defaults.items() if pair[0] not in present)
        elif self.method == "HEAD" and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await self.send(message)

    async def _refuse(self, error: InvitreeError) -> None:
        response = self.edge.tell(Request(self.scope), error)
        await response(self.scope, self.receive, self.dressed_send)

    def _record(self, seconds: float) -> None:
        route: Any = self.scope.get("route")
        template = getattr(route, "path", None) or _ID_IN_PATH.sub("/{id}", self.scope["path"])[:32]
        name = template if route is not None else "unmatched"
        REQUESTS.labels(self.method, name, self.status).inc()
        SECONDS.labels(name).observe(seconds)
        say = log.debug if self.scope["path"] in PROBES else log.info
        say(
            "request",
            method=self.method,
            path=self.scope["path"],
            status=self.status,
            ms=round(seconds * 1000, 1),
        )


def as_get(scope: Scope) -> Scope:
    """HEAD is GET without the body. Posters tell the two apart themselves."""
    if scope["method"] != "HEAD" or scope["path"].startswith("/p/"):
        return scope
    return {**scope, "method": "GET"}


def _request_id(scope: Scope) -> str:
    given = dict(scope["headers"]).get(b"request-id", b"").decode("latin-1")
    return given if _REQUEST_ID.match(given) else ids.new("req")
