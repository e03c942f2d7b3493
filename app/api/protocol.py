"""The server's HTTP protocol: an end to how large and how slow the head of a request may be, and a shorter way out.

What a body may be is the middleware's; before the head is whole, no application is asked.

The shorter way is an ASGI extension: an application may hand over a whole answer as bytes. The server checks and puts
together an answer header by header, which costs as much as all the rest that it does for a request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

MOST_HEAD = 64 * 1024
HEAD_SECONDS = 20.0
WHOLE_ANSWER = "invitree.whole_answer"
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class BoundedProtocol(HttpToolsProtocol):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head, self._head_size = True, 0
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._patience = self.loop.call_later(HEAD_SECONDS, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._calm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        began_in_head = self._in_head
        super().data_received(data)
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
        cycle: RequestResponseCycle | None = self.cycle
        answered = cycle is not None and cycle.response_complete and not self.pipeline
        if answered and self.timeout_keep_alive_task is None and not self.transport.is_closing():
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_message_begin(self) -> None:
        self._in_head, self._head_size = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._calm()
        super().on_headers_complete()
        if self.cycle is not None:
            # Before the application runs: its task has only been made.
            # This, not the cycle: that one has the scope, and the two would be garbage that only a collector finds.
            self.scope["extensions"] = {WHOLE_ANSWER: self}  # type: ignore[dict-item]  # our own: not described

    def _calm(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


def answer(scope: Mapping[str, Any], head: bytes, body: bytes) -> bool:
    """Send all at once; False where nothing was sent: another server runs the application, or the client reads slowly.

    `head` ends before the blank line. It has neither `date` nor `connection`, and its headers need no check.
    """
    cycle = _cycle(scope)
    if cycle is None:
        return False
    if cycle.disconnected:
        return True
    if cycle.flow.write_paused or cycle.response_started:
        return False
    parts = [head]
    for name, value in cycle.default_headers:
        parts += (name, b": ", value, b"\r\n")
    parts.append(b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n")
    if cycle.scope["method"] != "HEAD":
        parts.append(body)
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    cycle.message_event.set()
    cycle.transport.write(b"".join(parts))
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
    return True


def whole_body(scope: Mapping[str, Any]) -> bytes | None:
    """The body where all of it is here and nobody has asked for it; else it is to be received."""
    cycle = _cycle(scope)
    return None if cycle is None or cycle.more_body else bytes(cycle.body)


def _cycle(scope: Mapping[str, Any]) -> RequestResponseCycle | None:
    """This request's; None where another server runs it, or where a later one has been read meanwhile."""
    extensions = scope.get("extensions")
    protocol = None if extensions is None else extensions.get(WHOLE_ANSWER)
    if protocol is None or protocol.cycle is None or protocol.cycle.scope is not scope:
        return None
    return protocol.cycle  # type: ignore[no-any-return]  # the protocol is not described
