"""The load generator: what it takes for a right answer, and that it counts each once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from benchmarks.load.generator import fire, missing
from benchmarks.load.plan import NUMBER, Plan, Shot

RIGHT = b"HTTP/1.1 302 Found\r\nEvent-Id: evt_1\r\nContent-Length: 5\r\n\r\nhello"
Answer = Callable[[bytes], list[bytes]]


@contextlib.asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[tuple[str, int]]:
    """A server that sends an answer piece by piece; an empty list closes the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while pieces := answer(await reader.readuntil(b"\r\n\r\n")):
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[:2]


def plan(address: tuple[str, int], *, requests: int = 40, connections: int = 3) -> Plan:
    shots = [Shot(b"GET /%d?n=%b HTTP/1.1\r\n\r\n" % (place, NUMBER), 302, 1) for place in range(2)]
    return Plan(
        addresses=[address],
        shots=shots,
        needle=b"event-id:",
        connections=connections,
        warm_seconds=0.0,
        seconds=10.0,
        most_requests=requests,
        first_number=7,
    )


@pytest.mark.parametrize(
    ("data", "lacking"),
    [
        (b"", 1),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n", 1),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n", 3),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nx: 1\r\n\r\nabc", 0),
        (b"HTTP/1.1 200 OK\r\nx: 1\r\ncontent-length: 0\r\n\r\n", 0),
        (RIGHT + b"HTTP/1.1", -8),
    ],
    ids=["nothing", "half a head", "no body", "whole", "length last", "too much"],
)
def test_it_knows_when_an_answer_is_whole(data: bytes, lacking: int) -> None:
    assert missing(data) == lacking


def test_an_answer_without_a_length_is_refused() -> None:
    with pytest.raises(ValueError, match="content-length"):
        missing(b"HTTP/1.1 200 OK\r\n\r\n")


async def test_every_request_is_sent_once_and_every_answer_counted_with_its_shot() -> None:
    seen: list[bytes] = []

    def answer(request: bytes) -> list[bytes]:
        seen.append(request.partition(b"?n=")[2][:8])
        return [RIGHT[:30], RIGHT[30:60], RIGHT[60:]]

    async with answering(answer) as address:
        report = await fire(plan(address))
    assert report.is_right, report
    assert report.sent == len(set(seen)) == 40
    assert min(seen) == b"00000007"
    assert report.by_shot == [20, 20]
    assert report.statuses == {302: 40}


@pytest.mark.parametrize(
    "wrong",
    [
        RIGHT.replace(b"302", b"200"),
        RIGHT.replace(b"Event-Id", b"Other-Id"),
        RIGHT.replace(b"Event-Id", b"Event-Id: a\r\nEvent-Id"),
        RIGHT + RIGHT,
        RIGHT.replace(b"Content-Length", b"Content-Size"),
    ],
    ids=["status", "not recorded", "recorded twice", "two answers", "no length"],
)
async def test_one_wrong_answer_spoils_the_run(wrong: bytes) -> None:
    answers = iter([RIGHT] * 10 + [wrong])
    async with answering(lambda _: [next(answers, RIGHT)]) as address:
        report = await fire(plan(address))
    assert not report.is_right
    assert report.wrong == 1
    assert len(report.faults) == 1


async def test_a_connection_that_ends_without_an_answer_spoils_the_run() -> None:
    answers = iter([[RIGHT]] * 10)
    async with answering(lambda _: next(answers, [])) as address:
        report = await fire(plan(address))
    assert not report.is_right
    assert sum(report.by_shot) == 10
    assert report.sent == 13
