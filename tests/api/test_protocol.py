"""Heads of requests on real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from app.api import protocol
from app.api.hot.answers import send_whole
from app.api.protocol import MOST_HEAD, BoundedProtocol
from app.cli.api import API

START = b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: "


HEAD = b"HTTP/1.1 302 Found\r\nlocation: /there\r\ncontent-length: 4\r\n"


async def served(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["path"] == "/whole":
        await send_whole(scope, send, HEAD.decode(), b"body")
        return
    if scope["path"] == "/body":
        whole = protocol.whole_body(scope)
        told = b"not yet" if whole is None else whole
        assert protocol.answer(scope, b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n" % len(told), told)
        return
    if scope["path"] == "/usual":
        headers = [(b"location", b"/there"), (b"content-length", b"4")]
        await send({"type": "http.response.start", "status": 302, "headers": headers})
        await send({"type": "http.response.body", "body": b"body"})
        return
    size = len(await Request(scope, receive).body())
    await PlainTextResponse(f"served after {size}")(scope, receive, send)


@pytest.fixture
async def port() -> AsyncIterator[int]:
    config = uvicorn.Config(served, http=BoundedProtocol, lifespan="off", log_level="critical")
    config.load()
    state = ServerState()
    state.default_headers = [(b"date", b"Sun, 22 Nov 2026 00:00:00 GMT")]
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: BoundedProtocol(config, state, {}), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def answer_to(port: int, *pieces: bytes, more: bytes = b"") -> bytes:
    """All that comes back until the server closes; `more` is sent again and again meanwhile."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
    answer = asyncio.create_task(reader.read())
    try:
        for _ in range(500 if more else 0):
            if answer.done():
                break
            writer.write(more)
            await writer.drain()
            await asyncio.sleep(0)
    except ConnectionError:
        pass
    try:
        return await asyncio.wait_for(answer, 5)
    except ConnectionError:
        return b"reset"
    finally:
        writer.close()


def test_this_is_the_protocol_that_serves() -> None:
    assert f"{protocol.__name__}:{BoundedProtocol.__name__}" in API


async def test_a_usual_head_in_pieces_is_served(port: int) -> None:
    said = await answer_to(port, START, b"x" * 8_000, b"\r\nConnection: close\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 200")


async def test_a_head_without_end_is_refused(port: int) -> None:
    said = await answer_to(port, START, more=b"x" * 16_384)
    assert said.startswith(b"HTTP/1.1 431") or said == b"reset"


async def test_headers_without_end_are_refused(port: int) -> None:
    said = await answer_to(port, START + b"x\r\n", more=b"X-One-More: of them\r\n" * 500)
    assert said.startswith(b"HTTP/1.1 431") or said == b"reset"


async def test_a_body_is_no_head(port: int) -> None:
    size = 2 * MOST_HEAD
    head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n".encode()
    said = await answer_to(port, head, b"x" * size)
    assert said.endswith(b"served after 131072")


@pytest.mark.parametrize("pieces", [(), (START,), (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", START)])
async def test_a_head_that_never_comes_ends(
    port: int, pieces: tuple[bytes, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.1)
    said = await answer_to(port, *pieces)
    assert said in {b"", b"reset"} or said.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "request_",
    [
        "GET {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "HEAD {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET {} HTTP/1.0\r\n\r\n",
        "GET {0} HTTP/1.1\r\nHost: x\r\n\r\nGET {0} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab",
    ],
    ids=["get", "head", "1.0", "two at once", "with a body"],
)
async def test_a_whole_answer_is_what_the_usual_one_is(port: int, request_: str) -> None:
    whole, usual = [await answer_to(port, request_.format(path).encode()) for path in ("/whole", "/usual")]
    # The headers may come in another order.
    assert sorted(whole.splitlines()) == sorted(usual.splitlines())
    assert whole.startswith(b"HTTP/1.1 302 Found\r\n")
    assert whole.endswith(usual.rpartition(b"\r\n\r\n")[2])


async def test_a_kept_connection_serves_on_after_a_whole_answer(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(3):
        writer.write(b"GET /whole HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"connection" not in head
        assert await reader.readexactly(4) == b"body"
    writer.close()


async def test_a_body_that_came_with_its_head_is_at_hand(port: int) -> None:
    head = b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nConnection: close\r\n\r\n"
    assert (await answer_to(port, head + b"abcd")).endswith(b"\r\n\r\nabcd")
    assert (await answer_to(port, head + b"ab")).endswith(b"\r\n\r\nnot yet")


async def test_another_server_is_answered_as_usual() -> None:
    assert not protocol.answer({"type": "http", "method": "GET"}, HEAD, b"body")
