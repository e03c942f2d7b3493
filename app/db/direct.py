"""Scripts by the shortest way.

Each batch of events is one EVALSHA. With its pool, a time-out for each half and a task for each write, redis-py spends
on it several times what the batch itself takes.
"""

from __future__ import annotations

import asyncio
from typing import Any

import hiredis
from redis.asyncio import Redis
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.db.lane import Lane

# As many scripts are on their way at once; further ones go the usual way.
LANES = 3


class DirectRedis(Redis):
    """The same client, with some connections kept for scripts, of which each carries one at a time."""

    connection_pool: Any

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._free = [Lane(self.connection_pool) for _ in range(LANES)]

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        if not self._free or args[0] != "EVALSHA":
            usual: Any = super().execute_command
            return await usual(*args, **options)
        lane = self._free.pop()
        patience = self.connection_pool.connection_kwargs.get("socket_timeout")
        try:
            async with asyncio.timeout(patience):
                # One word, and nothing in a script's arguments that would have to be turned into bytes first.
                return await lane.ask(hiredis.pack_command(args))
        except TimeoutError:
            raise RedisTimeoutError(f"No answer to a script within {patience} s.") from None
        finally:
            self._free.append(lane)
