"""Answers put together as bytes, of headers that need no check."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping

from starlette.types import Scope, Send

from app.api.protocol import lines
from app.kit import ids

_REQUEST_ID = re.compile(rb"[A-Za-z0-9_-]{8,64}").fullmatch


def request_id(headers: Mapping[bytes, bytes], suffix: str | None) -> str:
    """The caller's own, else a new one; `suffix` is that of an id which was made for this request anyway."""
    given = headers.get(b"request-id")
    if given is not None and _REQUEST_ID(given):
        return given.decode("latin-1")
    return f"req_{suffix}" if suffix else ids.encode_in_turn("req", ids.uuid7_at(time.time_ns() // 1_000))


def rendered(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """As they stand in a head, for one that is put together as text."""
    return lines(headers).decode("latin-1")


async def send_whole(scope: Scope, send: Send, head: bytes, body: bytes = b"") -> None:
    """`head` from `HTTP/1.1` up to the blank line, without `date` and `connection`, which are the server's."""
    status, *lines = head.split(b"\r\n")[:-1]
    headers = [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]
    await send({"type": "http.response.start", "status": int(status[9:12]), "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
