"""A webhook receiver on the loopback address, as a merchant would run one, and the worker's part in reaching it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from app.resources import Resources
from app.worker import webhooks


@dataclass(slots=True)
class Receiver:
    """`calls`: by `webhook-id` how often it came; `events`: what came, each id once."""

    port: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    events: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def types(self) -> Counter[str]:
        return Counter(event["type"] for event in self.events.values())

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = await reader.readexactly(int(headers["content-length"]))
        self.calls[headers["webhook-id"]] += 1
        self.events[headers["webhook-id"]] = json.loads(body)
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def open_receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.take, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    async with server:
        yield receiver


async def deliver_all(resources: Resources) -> None:
    """What the worker does, until nothing is due any more."""
    while await webhooks.fan_out(resources) or await webhooks.deliver(resources):
        pass
