"""Scripts by the shortest way.

Each batch of events is one EVALSHA. With its pool, a time-out for each half and a task for each write, redis-py spends
on it more than twice what its connection alone does.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import TimeoutError as RedisTimeoutError

# After a pause the server may have hung up, as the pool would notice.
IDLE_SECONDS = 0.1


class DirectRedis(Redis):
    """The same client, with one connection kept for scripts: one at a time, further ones go the usual way."""

    connection_pool: Any
    _kept: Any = None
    _used_at = 0.0
    _is_busy = False

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        if self._is_busy or args[0] != "EVALSHA":
            usual: Any = super().execute_command
            return await usual(*args, **options)
        self._is_busy = True
        patience = self.connection_pool.connection_kwargs.get("socket_timeout")
        try:
            async with asyncio.timeout(patience):
                return await self._run(args)
        except TimeoutError:
            raise RedisTimeoutError(f"No answer to a script within {patience} s.") from None
        finally:
            self._is_busy = False

    async def _run(self, command: tuple[Any, ...]) -> Any:
        """Whatever breaks this off, the time-out too, hangs up; the next script has the connection made anew."""
        kept, pool = self._kept, self.connection_pool
        if kept is None:
            # It stays the pool's, which closes it in the end.
            kept = await pool.get_connection()
            kept.socket_timeout = None
            self._kept = kept
        elif time.monotonic() - self._used_at > IDLE_SECONDS:
            await pool.ensure_connection(kept)
        await kept.send_packed_command(kept.pack_command(*command), check_health=False)
        reply = await kept.read_response()
        self._used_at = time.monotonic()
        return reply
