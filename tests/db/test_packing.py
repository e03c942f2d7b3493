from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Connection, Redis

from app.db.packing import pack_in_c
from app.resources import Resources

COMMANDS: list[tuple[Any, ...]] = [
    ("EVALSHA", "3f" * 20, 2, "trk:{s0}:stream", "通道", b"\x00\xff\r\n", 300, 0.5, ""),
    ("SCRIPT LOAD", "return 1"),
    ("SET", "key", memoryview(b"value"), "EX", 10),
    ("SET", "key", b"x" * 20_000),
]


@pytest.mark.parametrize("command", COMMANDS, ids=["script", "two words", "view", "large"])
def test_commands_are_packed_as_the_client_would_itself(command: tuple[Any, ...]) -> None:
    pool: Any = pack_in_c(Redis(host="127.0.0.1")).connection_pool
    quick = pool.make_connection()
    assert b"".join(quick.pack_command(*command)) == b"".join(
        bytes(part) for part in Connection().pack_command(*command)
    )


async def test_whoever_connects_packs_in_c(resources: Resources) -> None:
    redis = resources.redis
    pool: Any = redis.connection_pool
    connection = pool.make_connection()
    assert "_Packing" in {kind.__name__ for kind in type(connection).__mro__}
    async with redis.pipeline(transaction=True) as pipe:
        pipe.set("packed", "漢字")
        pipe.get("packed")
        assert await pipe.execute() == [True, "漢字".encode()]
    await redis.delete("packed")
