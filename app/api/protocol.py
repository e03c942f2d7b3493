"""The server's HTTP protocol: an end to how large and how slow the head of a request may be, and a shorter way out.

What a body may be is the middleware's; before the head is whole, no application is asked.

The shorter way: an application may answer a request from here, at once or a moment later, with no task, no scope and no
message made for it, which together cost more than twice what a click does. It is offered requests of the paths that it
names, and of those the simple ones that came in one piece; all others, and those that it leaves, go the usual way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

MOST_HEAD = 64 * 1024
HEAD_SECONDS = 20.0
# For what is left of a body behind an answer that was the connection's last.
PARTING_SECONDS = 5.0
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
Headers = Sequence[tuple[bytes, bytes]]
_CLOSE = b"connection: close\r\n\r\n"


def lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """As they stand in a head."""
    return b"".join(b"%b: %b\r\n" % pair for pair in headers)


class Exchange(Protocol):
    """A request to be answered: once, now or later."""

    client: tuple[str, int] | None

    def answer(self, head: bytes, body: bytes = b"") -> None:
        """`head` ends before the blank line; it has neither `date` nor `connection`, and its headers need no check."""


# Of one path. Takes a request, told by its method, address, headers (names in lower case) and body; or says
# False, and has done nothing.
ShortWay = Callable[[Exchange, bytes, bytes, Headers, bytes], bool]


class _Given:
    """A request that an application took from here, as the server keeps those under way; one a connection."""

    __slots__ = ("body", "disconnected", "keep_alive", "message_event", "more_body", "response_complete")

    def __init__(self) -> None:
        self.response_complete, self.keep_alive, self.disconnected = True, True, False
        self.more_body, self.body = False, b""
        self.message_event = asyncio.Event()


class _Parting:
    """The connection of a request that is its last: who still sends it is heard out, or the system would tell of a
    broken connection in place of the answer."""

    def __init__(self, protocol: BoundedProtocol, cycle: RequestResponseCycle) -> None:
        self._protocol, self._cycle = protocol, cycle
        self.write, self.is_closing = cycle.transport.write, cycle.transport.is_closing

    def close(self) -> None:
        self._protocol.part(self._cycle)


class BoundedProtocol(HttpToolsProtocol):
    """The application's `short_way(url)`, where it has one, names the shorter way of a path or None."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head, self._head_size = True, 0
        self._patience: asyncio.TimerHandle | None = None
        self._parting: asyncio.TimerHandle | None = None
        self._stirred_at = 0.0
        # None too where uvicorn itself is to write a line for each request, or to count them.
        offers_none = self.config.access_log or self.limit_concurrency is not None
        self._short_way_of = None if offers_none else getattr(self.app, "short_way", None)
        self._short_way: ShortWay | None = None
        self._head: Headers = ()
        self._body = b""
        self._given = _Given()
        self._defaults: Headers = ()
        self._default_lines = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._patience = self.loop.call_later(HEAD_SECONDS, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._calm()
        for clock in (self.timeout_keep_alive_task, self._parting):
            if clock is not None:
                clock.cancel()
        self._given.disconnected = True
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        began_in_head, self._stirred_at = self._in_head, self.loop.time()
        super().data_received(data)
        if self._short_way is not None:
            # Its end is still to come.
            self._short_way = None
            if not self.transport.is_closing():
                self._begin_usual()
        if not self._in_head:
            self._mind_the_idle()
            return
        # A clock only for heads that come in pieces: nearly all come whole.
        if self._patience is None:
            self._patience = self.loop.call_later(HEAD_SECONDS, self.transport.abort)
        # What came before the head in the same piece is a body's.
        self._head_size += len(data) if began_in_head else 0
        if self._head_size > MOST_HEAD and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def _mind_the_idle(self) -> None:
        """Bytes that are no request, or what is left of a body, end the server's own patience with idle connections."""
        if self.timeout_keep_alive_task is not None:
            return
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and cycle.response_complete and not (self.pipeline or self.transport.is_closing()):
            self._wait_for_more(self.timeout_keep_alive)

    def _wait_for_more(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def _unset_keepalive_if_required(self) -> None:
        """Not with every request: a clock that runs looks for itself how long it has been quiet."""

    def timeout_keep_alive_handler(self) -> None:
        self.timeout_keep_alive_task = None
        cycle: RequestResponseCycle | None = self.cycle
        is_busy = bool(self.pipeline) or (cycle is not None and not cycle.response_complete)
        left = self.timeout_keep_alive - (0.0 if is_busy else self.loop.time() - self._stirred_at)
        if left > 0:
            self._wait_for_more(left)
        else:
            super().timeout_keep_alive_handler()

    def on_response_complete(self) -> None:
        """As uvicorn has it, but for the clock."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._stirred_at = self.loop.time()
            self._mind_the_idle()

    def on_message_begin(self) -> None:
        self._in_head, self._head_size = True, 0
        self.url, self.headers, self.expect_100_continue = b"", [], False
        # A request that goes the usual way is handed what is here as the beginning of its own body.
        self._body = b""

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._calm()
        # What comes behind a body in pieces is named as headers are. Proxies do not look at it: it is nobody's word.
        self._head, self.headers = self.headers, []
        way = None if self._short_way_of is None else self._short_way_of(self.url)
        if way is not None and self._is_simple():
            self._short_way = way
        else:
            self._begin_usual()

    def on_body(self, body: bytes) -> None:
        if self._short_way is None:
            super().on_body(body)
        else:
            self._body += body

    def on_message_complete(self) -> None:
        way = self._short_way
        if way is None:
            super().on_message_complete()
            if self._parting is not None:
                self.transport.close()
            return
        self._short_way = None
        given = self._given
        self.cycle, before = given, self.cycle  # type: ignore[assignment]  # what the server asks of one, it has
        given.response_complete, given.keep_alive = False, self.parser.should_keep_alive()
        if not self._is_taken(way):
            given.response_complete = True
            self.cycle = before
            self._begin_usual()
            super().on_message_complete()

    def answer(self, head: bytes, body: bytes = b"") -> None:
        """As `Exchange` has it."""
        given = self._given
        if given.response_complete:
            raise RuntimeError("a request was answered twice")
        given.response_complete = True
        transport = self.transport
        if given.disconnected or transport.is_closing():
            return
        if self._defaults is not self.server_state.default_headers:
            self._render_defaults()
        end = b"\r\n" if given.keep_alive else _CLOSE
        transport.write(b"".join((head, self._default_lines, end, body)))
        if not given.keep_alive:
            transport.close()
        self.on_response_complete()

    def part(self, cycle: RequestResponseCycle) -> None:
        """Close, as soon as the request that was answered is read to its end; what comes of it is thrown away."""
        if cycle.more_body and cycle.response_complete and not self.transport.is_closing():
            self._parting = self._parting or self.loop.call_later(PARTING_SECONDS, self.transport.close)
        else:
            self.transport.close()

    def _is_taken(self, way: ShortWay) -> bool:
        """What fails here is asked the usual way, where faults are told."""
        try:
            return way(self, self.parser.get_method(), self.url, self._head, self._body)
        except Exception:
            self.logger.exception("Exception on the shorter way")
            return self._given.response_complete

    def _is_simple(self) -> bool:
        """Nothing before it is unanswered, and nothing about it is the server's own affair."""
        cycle: RequestResponseCycle | None = self.cycle
        return (
            (cycle is None or cycle.response_complete)
            and not (self.pipeline or self.flow.write_paused or self.expect_100_continue)
            and self.parser.get_http_version() == "1.1"
            and not self.parser.should_upgrade()
        )

    def _begin_usual(self) -> None:
        """The request as far as it was read, told to uvicorn's own protocol."""
        url, expects, body = self.url, self.expect_100_continue, self._body
        super().on_message_begin()
        self.url, self.expect_100_continue, self._body = url, expects, b""
        self.headers += self._head
        super().on_headers_complete()
        if not self.cycle.keep_alive:
            self.cycle.transport = _Parting(self, self.cycle)  # type: ignore[assignment]  # as much of one as it asks for
        self.headers = []
        if body:
            super().on_body(body)

    def _render_defaults(self) -> None:
        """The server makes a new list of them each second, for its clock."""
        self._defaults = self.server_state.default_headers
        self._default_lines = lines(self._defaults)

    def _calm(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
