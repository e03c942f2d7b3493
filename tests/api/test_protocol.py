"""Heads of requests on real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from app.api import protocol
from app.api.protocol import MOST_HEAD, BoundedProtocol, Exchange, Headers, ShortWay
from app.cli.api import API
from tests.factories.served import served

START = b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: "


HEAD = b"HTTP/1.1 302 Found\r\nlocation: /there\r\ncontent-length: 4\r\n"


class Application:
    """Takes what is asked of `/short…` the shorter way; `later` keeps them until they are let go."""

    def __init__(self) -> None:
        self.kept: asyncio.Queue[Exchange] = asyncio.Queue()
        self.taken: list[tuple[bytes, bytes]] = []
        self.told: list[tuple[bytes, bytes]] = []

    def short_way(self, url: bytes) -> ShortWay | None:
        return self.take if url.startswith(b"/short") else None

    def take(self, exchange: Exchange, method: bytes, url: bytes, headers: Headers, body: bytes) -> bool:
        self.told += headers
        if url == b"/short/left":
            return False
        if url.startswith(b"/short/fails"):
            if url.endswith(b"?answered"):
                exchange.answer(HEAD, b"body")
            raise ValueError("a fault of the application")
        self.taken.append((method, body))
        if url == b"/short/later":
            self.kept.put_nowait(exchange)
        else:
            exchange.answer(HEAD, b"body")
        return True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/usual":
            headers = [(b"location", b"/there"), (b"content-length", b"4")]
            await send({"type": "http.response.start", "status": 302, "headers": headers})
            await send({"type": "http.response.body", "body": b"body"})
            return
        if scope["path"] == "/early":
            await PlainTextResponse("too much", 413)(scope, receive, send)
            return
        self.told += scope["headers"]
        size = len(await Request(scope, receive).body())
        await PlainTextResponse(f"served after {size}")(scope, receive, send)


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
async def port(application: Application) -> AsyncIterator[int]:
    async with served(application) as found:
        yield found


async def answer_to(port: int, *pieces: bytes, more: bytes = b"") -> bytes:
    """All that comes back until the server closes; `more` is sent again and again meanwhile."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        for _ in range(5):  # turns of the loop, in which the server reads this piece before the next one comes
            await asyncio.sleep(0)
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
        "GET {0} HTTP/1.1\r\nHost: x\r\n\r\nGET {0} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab",
    ],
    ids=["get", "two at once", "with a body"],
)
async def test_a_short_answer_is_what_the_usual_one_is(port: int, application: Application, request_: str) -> None:
    short, usual = [await answer_to(port, request_.format(path).encode()) for path in ("/short", "/usual")]
    # The headers may come in another order.
    assert sorted(short.splitlines()) == sorted(usual.splitlines())
    assert short.startswith(b"HTTP/1.1 302 Found\r\n")
    assert short.endswith(usual.rpartition(b"\r\n\r\n")[2])
    assert application.taken


async def test_a_body_that_was_taken_is_not_read_again_by_who_comes_next(port: int) -> None:
    taken = b"POST /short HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\ntaken"
    said = await answer_to(
        port, taken, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\n", b"ab"
    )
    assert said.endswith(b"served after 2")


async def test_a_kept_connection_serves_on_after_a_short_answer(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(3):
        writer.write(b"GET /short HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"connection" not in head
        assert await reader.readexactly(4) == b"body"
    writer.close()


async def test_who_goes_back_to_an_older_version_is_answered_in_it(port: int, application: Application) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /short HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"body")
    writer.write(b"GET /short HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    said = await asyncio.wait_for(reader.read(), 5)
    assert said.endswith(b"served after 0")
    assert len(application.taken) == 1
    writer.close()


CLOSE = b"Host: x\r\nConnection: close\r\n"


@pytest.mark.parametrize(
    ("pieces", "size"),
    [
        ((b"GET /short HTTP/1.0\r\n\r\n",), 0),
        ((b"GET /short HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",), 0),
        ((b"GET /short/left HTTP/1.1\r\n" + CLOSE + b"\r\n",), 0),
        ((b"GET /short HTTP/1.1\r\nUpgrade: websocket\r\nHost: x\r\nConnection: close, upgrade\r\n\r\n",), 0),
        ((b"POST /short/left HTTP/1.1\r\n" + CLOSE + b"Content-Length: 4\r\n\r\nabcd",), 4),
        ((b"POST /short HTTP/1.1\r\n" + CLOSE + b"Content-Length: 4\r\n\r\nab", b"cd"), 4),
        ((b"POST /short HTTP/1.1\r\n" + CLOSE + b"Content-Length: 4\r\n\r\n", b"abcd"), 4),
        ((b"POST /short HTTP/1.1\r\n" + CLOSE + b"Content-Length: 4\r\nExpect: 100-continue\r\n\r\nabcd",), 4),
    ],
    ids=["1.0", "1.0 kept", "left", "upgrade", "left, a body", "body in pieces", "body behind", "expecting"],
)
async def test_what_is_not_simple_is_served_as_usual(
    port: int, application: Application, pieces: tuple[bytes, ...], size: int
) -> None:
    said = await answer_to(port, *pieces)
    assert said.endswith(b"served after %d" % size)
    assert not application.taken


async def test_who_asks_on_before_the_answer_is_answered_in_turn(port: int, application: Application) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    asked = (b"GET /short/later HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /usual HTTP/1.1\r\nHost: x\r\n\r\n")
    last = b"GET /short HTTP/1.1\r\n" + CLOSE + b"\r\n"
    writer.write(b"".join(asked) + last)
    kept = await application.kept.get()
    kept.answer(HEAD.replace(b"/there", b"/first"), b"body")
    said = await asyncio.wait_for(reader.read(), 5)
    assert [line for line in said.split(b"\r\n") if line.startswith(b"location")] == [
        b"location: /first",
        b"location: /there",
    ]
    assert said.endswith(b"served after 0")
    writer.close()


async def test_an_answer_to_who_has_gone_is_dropped(port: int, application: Application) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /short/later HTTP/1.1\r\nHost: x\r\n\r\n")
    kept = await application.kept.get()
    writer.transport.abort()
    # Another connection's answer comes after this one's end was noticed.
    assert await answer_to(port, b"GET /short HTTP/1.1\r\n" + CLOSE + b"\r\n")
    kept.answer(HEAD, b"body")
    with pytest.raises(RuntimeError, match="twice"):
        kept.answer(HEAD, b"body")


async def test_a_server_that_counts_requests_itself_offers_no_shorter_way(application: Application) -> None:
    async with served(application, limit_concurrency=9) as port:
        said = await answer_to(port, b"GET /short HTTP/1.1\r\n" + CLOSE + b"\r\n")
    assert said.endswith(b"served after 0")


async def test_what_fails_on_the_shorter_way_is_asked_the_usual_way(port: int) -> None:
    said = await answer_to(port, b"POST /short/fails HTTP/1.1\r\n" + CLOSE + b"Content-Length: 4\r\n\r\nabcd")
    assert said.startswith(b"HTTP/1.1 200")
    assert said.endswith(b"served after 4")


async def test_what_fails_after_its_answer_is_answered_once(port: int) -> None:
    said = await answer_to(port, b"GET /short/fails?answered HTTP/1.1\r\n" + CLOSE + b"\r\n")
    assert said.startswith(b"HTTP/1.1 302")
    assert said.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("path", ["/short", "/short/left", "/other"])
async def test_what_stands_behind_a_body_is_no_header(port: int, application: Application, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n".encode() + CLOSE + b"\r\n"
    said = await answer_to(port, head + b"1\r\na\r\n0\r\nAuthorization: mine\r\n\r\n")
    assert said.startswith((b"HTTP/1.1 302", b"HTTP/1.1 200"))
    assert (b"host", b"x") in application.told
    assert b"authorization" not in {name for name, _ in application.told}


REFUSED = (
    b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    b"Content-Length: 2\r\nContent-Length: 4\r\n\r\nabcd",
    b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"Content-Length: +2\r\n\r\nab",
    b"X-Folded: a\r\n b\r\n\r\n",
    b"X-Nul: a\x00b\r\n\r\n",
    b"X-Return: a\rb\r\n\r\n",
    b"X-Space : a\r\n\r\n",
)


@pytest.mark.parametrize("rest", REFUSED, ids=range(len(REFUSED)))
async def test_what_others_might_read_otherwise_is_not_read(port: int, application: Application, rest: bytes) -> None:
    said = await answer_to(
        port, b"POST /short HTTP/1.1\r\nHost: x\r\n" + rest + b"GET /short HTTP/1.1\r\nHost: x\r\n\r\n"
    )
    assert said.startswith(b"HTTP/1.1 400")
    assert said.count(b"HTTP/1.1") == 1
    assert not application.taken


@pytest.mark.parametrize("order", ["/short /usual /short", "/usual /short /usual", "/short /short /short"])
async def test_requests_that_come_together_are_answered_in_turn(port: int, order: str) -> None:
    paths = order.split()
    said = await answer_to(
        port,
        b"".join(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for path in paths)
        + b"GET / HTTP/1.1\r\n"
        + CLOSE
        + b"\r\n",
    )
    assert said.count(b"HTTP/1.1 ") == 4
    assert said.endswith(b"served after 0")


async def test_who_asks_nothing_after_its_last_request_is_asked_nothing(port: int, application: Application) -> None:
    said = await answer_to(port, b"GET /short HTTP/1.1\r\n" + CLOSE + b"\r\nGET /short HTTP/1.1\r\nHost: x\r\n\r\n")
    assert said.count(b"HTTP/1.1") == 1
    assert len(application.taken) == 1


async def test_a_server_that_ends_sends_the_answers_that_are_owed(application: Application) -> None:
    quiet: dict[str, Any] = {"lifespan": "off", "log_level": "critical", "access_log": False, "proxy_headers": False}
    config = uvicorn.Config(application, http=BoundedProtocol, **quiet)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    listening = await asyncio.get_running_loop().create_server(
        lambda: BoundedProtocol(config, server.server_state, {}), "127.0.0.1", 0
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", listening.sockets[0].getsockname()[1])
    writer.write(b"GET /short/later HTTP/1.1\r\nHost: x\r\n\r\n")
    kept = await asyncio.wait_for(application.kept.get(), 5)
    server.servers = [listening]
    ending = asyncio.create_task(server.shutdown())
    await asyncio.sleep(0)
    kept.answer(HEAD, b"body")
    said = await asyncio.wait_for(reader.read(), 5)
    assert said.startswith(b"HTTP/1.1 302")
    assert b"connection: close" in said
    await asyncio.wait_for(ending, 5)
    writer.close()


@pytest.mark.parametrize("path", ["/short", "/usual"])
async def test_a_connection_that_asks_no_more_is_closed(application: Application, path: str) -> None:
    async with served(application, timeout_keep_alive=0.05) as port:
        assert (await answer_to(port, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())).endswith(b"body")


async def test_who_waits_for_an_answer_is_not_idle(application: Application) -> None:
    async with served(application, timeout_keep_alive=0.05) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /short HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"body")
        writer.write(b"GET /short/later HTTP/1.1\r\nHost: x\r\n\r\n")
        kept = await application.kept.get()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.15)
        kept.answer(HEAD, b"body")
        assert (await asyncio.wait_for(reader.read(), 5)).endswith(b"body")
        writer.close()


PIECE = b"x" * 65_536


async def early(port: int, framing: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Behind the answer to a request of which the body is still to come, and after which no other does."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /early HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + framing + b"\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in head
    return reader, writer


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_who_is_answered_before_the_end_of_a_body_may_send_it_to_its_end(port: int, *, is_chunked: bool) -> None:
    pieces = 64
    framing = b"Transfer-Encoding: chunked" if is_chunked else b"Content-Length: %d" % (pieces * len(PIECE))
    reader, writer = await early(port, framing)
    for _ in range(pieces):
        writer.write(b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if is_chunked else PIECE)
        await writer.drain()
    writer.write(b"0\r\n\r\n" if is_chunked else b"")
    assert await reader.read() == b"too much"
    writer.close()


async def test_who_never_ends_a_body_that_was_answered_is_not_heard_for_ever(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "PARTING_SECONDS", 0.05)
    reader, writer = await early(port, b"Content-Length: 1000")
    assert await reader.read() == b"too much"
    writer.close()
