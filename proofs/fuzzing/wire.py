"""HTTP/1.1 by hand: what a client library would refuse to send, or would set right, goes out as it is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

PATIENCE = 15.0


@dataclass(frozen=True, slots=True)
class Raw:
    """One request as bytes. `chunks`: a body sent in chunks, without a length."""

    method: bytes
    target: bytes
    headers: Sequence[tuple[bytes, bytes]] = ()
    body: bytes | None = None
    chunks: Sequence[bytes] | None = None

    def head(self, host: bytes) -> bytes:
        lines = [b"%b %b HTTP/1.1" % (self.method, self.target), b"Host: " + host, b"Connection: close"]
        lines += [b"%b: %b" % pair for pair in self.headers]
        if self.chunks is not None:
            lines.append(b"Transfer-Encoding: chunked")
        elif self.body is not None:
            lines.append(b"Content-Length: %d" % len(self.body))
        return b"\r\n".join(lines) + b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` 0: the connection was closed without one. Header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


async def send(base_url: str, request: Raw) -> Answer:
    """TimeoutError where the connection is neither answered nor closed in time."""
    address = urlsplit(base_url)
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        sending = asyncio.create_task(_send(writer, request, address.netloc.encode()))
        try:
            return _read_answer(await _receive(reader))
        finally:
            sending.cancel()
            writer.transport.abort()


async def _send(writer: asyncio.StreamWriter, request: Raw, host: bytes) -> None:
    """A server that has refused closes its end: what could not be sent then is no fault."""
    with contextlib.suppress(ConnectionError):
        writer.write(request.head(host))
        if request.chunks is not None:
            for chunk in request.chunks:
                writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
                await writer.drain()
            writer.write(b"0\r\n\r\n")
        elif request.body:
            writer.write(request.body)
        await writer.drain()


async def _receive(reader: asyncio.StreamReader) -> bytes:
    pieces = []
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(65_536):
            pieces.append(piece)
    return b"".join(pieces)


def _read_answer(received: bytes) -> Answer:
    head, _, body = received.partition(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 100 "):
        return _read_answer(body)
    if not head.startswith(b"HTTP/1."):
        return Answer(0, {}, head)
    status, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if headers.get("transfer-encoding") == "chunked":
        body = _unchunked(body)
    return Answer(int(status.split(" ", 2)[1]), headers, body)


def _unchunked(body: bytes) -> bytes:
    pieces = []
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size or b"0", 16)
        pieces.append(body[:length])
        body = body[length + 2 :]
    return b"".join(pieces)
