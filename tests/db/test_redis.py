"""What a Redis receives that stands still or hangs up: every command once. Counted by a server that answers nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.db.redis import connect_redis

GREETINGS = {b"HELLO": b"%1\r\n$5\r\nproto\r\n:3\r\n", b"CLIENT": b"+OK\r\n"}


@dataclass(slots=True)
class Silent:
    """Greets, and says that it has all slots; `received` are the other commands' names, which it never answers."""

    hangs_up: bool
    port: int = 0
    received: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while words := await read_command(reader):
            if answer := self._answer(words[0].upper()):
                writer.write(answer)
                continue
            self.received.append(words[0].decode())
            if self.hangs_up:
                break
        writer.close()

    def _answer(self, name: bytes) -> bytes | None:
        if name == b"CLUSTER":
            return b"*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$9\r\n127.0.0.1\r\n:%d\r\n$1\r\nx\r\n" % self.port
        return GREETINGS.get(name)


async def read_command(reader: asyncio.StreamReader) -> list[bytes]:
    """Empty at the end."""
    if not (head := await reader.readline()):
        return []
    words = []
    for _ in range(int(head[1:])):
        length = int((await reader.readline())[1:])
        words.append((await reader.readexactly(length + 2))[:-2])
    return words


@pytest.fixture(params=["stands still", "hangs up"])
async def silent(request: pytest.FixtureRequest) -> AsyncIterator[Silent]:
    found = Silent(request.param == "hangs up")
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    async with server:
        yield found


@pytest.fixture(params=["redis", "redis+cluster"])
async def client(request: pytest.FixtureRequest, silent: Silent) -> AsyncIterator[Redis]:
    found = connect_redis(f"{request.param}://127.0.0.1:{silent.port}")
    yield found
    await found.aclose()


async def count(redis: Redis) -> None:
    await redis.incr("key")


async def count_in_a_transaction(redis: Redis) -> None:
    async with redis.pipeline(transaction=True) as pipe:
        pipe.incr("key")
        await pipe.execute()


async def count_in_a_script(redis: Redis) -> None:
    await redis.execute_command("EVALSHA", "0" * 40, 1, "key")  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("work", "sent"),
    [(count, ["INCRBY"]), (count_in_a_transaction, ["MULTI", "INCRBY", "EXEC"]), (count_in_a_script, ["EVALSHA"])],
)
async def test_nothing_is_sent_twice(
    silent: Silent, client: Redis, work: Callable[[Redis], Awaitable[None]], sent: list[str]
) -> None:
    async with asyncio.timeout(5.0):
        with pytest.raises((RedisError, OSError)):
            await work(client)
    assert silent.received == (sent[:1] if silent.hangs_up else sent)
