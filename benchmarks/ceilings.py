"""The applications that tracking is measured against, served as `invitree api` serves its own.

`bare_get` and `bare_post` give the very answer that Invitree gave, and record nothing: no application is faster.
`plain` is the straightforward way: FastAPI, and one awaited pipeline of redis-py for each hit.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import msgspec
from fastapi import FastAPI, Request, Response
from redis.asyncio import Redis
from starlette.types import ASGIApp, Receive, Scope, Send

ANSWER, REDIS = "BENCH_ANSWER", "BENCH_REDIS"


class Given(msgspec.Struct, frozen=True):
    """An answer of Invitree's; header names in lower case."""

    status: int
    headers: list[tuple[str, str]]
    body: str


def bare_get() -> ASGIApp:
    start, end = _messages(_given())

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await send(dict(start))
            await send(end)
        else:
            await _live(receive, send)

    return app


def bare_post() -> ASGIApp:
    start, end = _messages(_given())

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await _live(receive, send)
            return
        parts = []
        while True:
            message = await receive()
            parts.append(message["body"])
            if not message["more_body"]:
                break
        assert b"".join(parts)
        await send(dict(start))
        await send(end)

    return app


def _given() -> Given:
    return msgspec.json.decode(os.environ[ANSWER], type=Given)


def _messages(given: Given) -> tuple[dict[str, Any], dict[str, Any]]:
    headers = [(name.encode(), value.encode("latin-1")) for name, value in given.headers]
    start = {"type": "http.response.start", "status": given.status, "headers": headers}
    return start, {"type": "http.response.body", "body": given.body.encode()}


async def _live(receive: Receive, send: Send) -> None:
    while (await receive())["type"] == "lifespan.startup":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})


def plain() -> FastAPI:
    """Totals of the campaign and the code, unique visitors of the code, and an entry in a stream."""
    redis = Redis.from_url(os.environ[REDIS])
    headers = [(name, value) for name, value in _given().headers if name not in {"event-id", "content-length"}]

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await redis.aclose()

    app = FastAPI(lifespan=lifespan)

    @app.get("/i/{code}")
    async def open_link(code: str, request: Request, s: str | None = None, ch: str | None = None) -> Response:
        kind, event_id, now = "scans" if s == "qr" else "clicks", uuid4().hex, time.time_ns()
        agent = request.headers.get("user-agent", "")
        address = request.headers.get("x-forwarded-for", "")
        visitor = hashlib.sha256(f"{address} {agent}".encode()).hexdigest()[:16]
        event: dict[Any, Any] = {
            "id": event_id,
            "code": code,
            "kind": kind,
            "visitor": visitor,
            "agent": agent,
            "at": now,
        }
        async with redis.pipeline() as pipe:
            pipe.hincrby("plain:campaign", kind, 1)
            pipe.hincrby("plain:hours", f"{now // 3_600_000_000_000}|{ch}|{kind}", 1)
            pipe.hincrby(f"plain:code:{code}", kind, 1)
            pipe.sadd(f"plain:visitors:{code}", visitor)
            pipe.xadd("plain:stream", event)
            await pipe.execute()
        response = Response(status_code=302, headers={"event-id": event_id})
        for name, value in headers:
            response.headers.append(name, value)
        return response

    return app
