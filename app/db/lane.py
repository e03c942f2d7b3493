"""One connection without streams and tasks: a command goes out as it is packed, and its reply wakes who asked."""

from __future__ import annotations

import asyncio
from typing import Any

import hiredis
from redis.asyncio.connection import DefaultParser
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, RedisError


class Lane:
    """Of one asker at a time. redis-py opens it, from name and password to TLS, and closes it in the end."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._connection: Any = None
        self._wire: _Wire | None = None

    async def ask(self, packed: bytes) -> Any:
        """RedisError. Whatever else breaks this off, as a time-out does, hangs up; the next one opens it anew."""
        wire = self._wire
        if wire is None or wire.is_closed:
            wire = self._wire = await self._open()
        reply = await wire.ask(packed)
        if isinstance(reply, ReadOnlyError):
            wire.hang_up()  # no longer the master: who has its name now is found by connecting anew
        if isinstance(reply, RedisError):
            raise reply
        return reply

    async def _open(self) -> _Wire:
        if self._connection is None:
            self._connection = await self._pool.get_connection()
        else:
            await self._connection.disconnect(nowait=True)
            await self._connection.connect()
            if await self._connection.can_read():
                raise RedisConnectionError("Redis hung up behind the handshake.")
        return _Wire(self._connection._writer.transport)  # there is no other way to it


class _Wire(asyncio.Protocol):
    """From the handshake on, in the place of redis-py's streams."""

    def __init__(self, transport: Any) -> None:
        self._reader = hiredis.Reader(replyError=DefaultParser.parse_error)
        self._reply: asyncio.Future[Any] | None = None
        self.is_closed = False
        self._transport, self._streams = transport, transport.get_protocol()
        transport.set_protocol(self)

    async def ask(self, packed: bytes) -> Any:
        self._reply = asyncio.get_running_loop().create_future()
        try:
            self._transport.write(packed)
            return await self._reply
        except BaseException:
            self.hang_up()
            raise
        finally:
            self._reply = None

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            if isinstance(reply, hiredis.PushNotification):
                continue
            if self._reply is None or self._reply.done():
                # Nobody asked: the next one would take it for the answer.
                self.hang_up()
                return
            self._reply.set_result(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(RedisConnectionError(f"Redis hung up: {exc}"))
        # So that redis-py, too, knows it to be closed.
        self._streams.connection_lost(exc)

    def hang_up(self) -> None:
        self.is_closed = True
        self._transport.abort()
