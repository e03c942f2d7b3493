"""The play's own HTTP client: it knows nothing of the application but its address."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

import httpx

from app.kit import ids

T = TypeVar("T")
R = TypeVar("R")
AT_ONCE = 16


class DemoError(Exception):
    """An answer that the play cannot go on with."""


class Api:
    """One merchant's key. Errors carry the problem's code and sentence."""

    def __init__(self, http: httpx.AsyncClient, key: str | None = None) -> None:
        self._http = http
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    async def get(self, path: str, **params: Any) -> Any:
        return (await self.send("GET", path, params=params)).json()

    async def post(self, path: str, body: Any = None, **options: Any) -> Any:
        headers = {"Idempotency-Key": ids.new("req")} if path != "/v1/events" else {}
        return (await self.send("POST", path, json=body, headers=headers, **options)).json()

    async def refused(self, path: str, body: Any) -> dict[str, Any]:
        """The problem that a request is answered with; DemoError where it is done instead."""
        headers = {**self._headers, "Idempotency-Key": ids.new("req")}
        answer = await self._http.post(path, json=body, headers=headers)
        if answer.status_code < 400:
            raise DemoError(f"POST {path}: {answer.status_code}, though it should have been refused")
        problem: dict[str, Any] = answer.json()
        return problem

    async def upload(self, path: str, content: bytes, **fields: str) -> Any:
        return (await self.send("POST", path, files={"file": ("picture.png", content)}, data=fields)).json()

    async def all(self, path: str, **params: Any) -> list[dict[str, Any]]:
        """Every row of a list, page by page."""
        rows: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            page = await self.get(path, limit=100, **params, **({"cursor": cursor} if cursor else {}))
            rows += page["data"]
            cursor = page["next_cursor"]
            if cursor is None:
                return rows

    async def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {**self._headers, **options.pop("headers", {})}
        answer = await self._http.request(method, path, headers=headers, **options)
        if answer.status_code >= 400:
            raise DemoError(f"{method} {path}: {answer.status_code} {answer.text[:400]}")
        return answer


async def each(items: Iterable[T], work: Callable[[T], Awaitable[R]], done: Callable[[], None]) -> list[R]:
    """`work` on all, a few at once, results in order; `done` after each."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(item: T) -> R:
        async with gate:
            result = await work(item)
        done()
        return result

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(item)) for item in items]
    return [task.result() for task in tasks]
