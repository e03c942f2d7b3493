"""HTTP/1.1 on a connection that is kept, as light as can be: the load must cost less than what it is put on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

# What a client sees of a server that dies, hangs or is just starting.
BROKEN = (OSError, TimeoutError, asyncio.IncompleteReadError)


@dataclass(frozen=True, slots=True)
class Answer:
    """Header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Line:
    """One connection: opened when it is needed, and again after it broke. Raises one of BROKEN."""

    def __init__(self, base_url: str, *, patience: float) -> None:
        address = urlsplit(base_url)
        self._host, self._port, self._patience = address.hostname or "", address.port or 0, patience
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, target: str, headers: Mapping[str, str]) -> Answer:
        return await self.ask(self._head("GET", target, headers) + b"\r\n")

    async def post(self, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        given = {"Content-Type": "application/json", **headers, "Content-Length": str(len(body))}
        return await self.ask(self._head("POST", target, given) + b"\r\n" + body)

    def _head(self, method: str, target: str, headers: Mapping[str, str]) -> bytes:
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self._host}:{self._port}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n").encode()

    async def ask(self, request: bytes) -> Answer:
        try:
            async with asyncio.timeout(self._patience):
                if self._streams is None:
                    self._streams = await asyncio.open_connection(self._host, self._port)
                reader, writer = self._streams
                writer.write(request)
                answer = await _read(reader)
        except BaseException:
            self.close()
            raise
        if answer.headers.get("connection") == "close":
            self.close()
        return answer

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None


async def _read(reader: asyncio.StreamReader) -> Answer:
    status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    if headers.get("transfer-encoding") == "chunked":
        return Answer(int(status.split(" ", 2)[1]), headers, await _read_chunks(reader))
    return Answer(
        int(status.split(" ", 2)[1]), headers, await reader.readexactly(int(headers.get("content-length", "0")))
    )


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    pieces = []
    while size := int(await reader.readline(), 16):
        pieces.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readexactly(2)
    return b"".join(pieces)
