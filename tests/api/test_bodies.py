"""What a body may be, before any room has seen it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Message

from app.api import middleware
from tests.factories import MerchantFixture

PATH = "/v1/merchant/users"
JSON = {"Content-Type": "application/json"}


async def send(api: httpx.AsyncClient, body: bytes) -> tuple[int, str]:
    answer = await api.post(PATH, content=body, headers=JSON)
    return answer.status_code, answer.json().get("code", "")


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"{'name': 1}",
        b'{"name": NaN, "role": "owner"}',
        b'{"name": Infinity, "role": "owner"}',
        b'{"name": "x", "role": "owner"} trailing',
        b'{"name": 1e999, "role": "owner"}',
        b'{"name": "\xff\xfe", "role": "owner"}',
        b'{"name": "\\ud800", "role": "owner"}',
        b'{"name": "\\udc00\\ud800", "role": "owner"}',
        b"[" * 100_000,
    ],
)
async def test_what_is_no_json_is_unreadable(api: httpx.AsyncClient, body: bytes) -> None:
    assert await send(api, body) == (400, "json_invalid")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"name": "a\\u0000b", "role": "owner"}', "nul_byte"),
        (b'{"a\\u0000": 1}', "nul_byte"),
        (b'{"name": ' + b'{"a":' * 40 + b"1" + b"}" * 40 + b"}", "json_too_deep"),
        (b"[]", "validation_failed"),
        (b'"text"', "validation_failed"),
        (b"null", "validation_failed"),
        (b"", "validation_failed"),
        (b'{"name": "", "role": "owner"}', "validation_failed"),
        (b'{"name": 5, "role": "owner"}', "validation_failed"),
        (b'{"name": "x", "role": "owner", "more": 1}', "validation_failed"),
        (
            b'{"name": 123456789012345678901234567890123456789012345678901234567890, "role": "owner"}',
            "validation_failed",
        ),
    ],
)
async def test_what_does_not_fit_is_told_apart(api: httpx.AsyncClient, body: bytes, code: str) -> None:
    assert await send(api, body) == (422, code)


async def test_a_whole_surrogate_pair_and_chinese_are_text(api: httpx.AsyncClient) -> None:
    made = await api.post(PATH, content=b'{"name": "\\ud83c\\udf75 \xe8\x8c\xb6", "role": "owner"}', headers=JSON)
    assert made.json()["name"] == "🍵 茶"


async def test_a_fault_is_pointed_at(api: httpx.AsyncClient) -> None:
    problem = (await api.post(PATH, json={"name": "x", "role": "king"})).json()
    assert problem["errors"][0]["pointer"] == "/role"
    assert problem["detail"].startswith("/role: ")


async def test_a_body_that_is_not_json_is_refused(api: httpx.AsyncClient) -> None:
    refused = await api.post(PATH, content=b"name=x&role=owner", headers={"Content-Type": "text/plain"})
    assert (refused.status_code, refused.json()["code"]) == (422, "content_type_unexpected")


async def test_json_that_does_not_say_so_is_told_what_is_missing(api: httpx.AsyncClient) -> None:
    """What curl sends with `-d` and no header."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    refused = await api.post(PATH, content=b'{"name": "x", "role": "owner"}', headers=form)
    assert (refused.status_code, refused.json()["code"]) == (422, "content_type_unexpected")
    assert "application/json" in refused.json()["detail"]


async def test_who_leaves_in_the_middle_is_no_fault(app: FastAPI, merchant: MerchantFixture) -> None:
    key = f"Bearer {merchant.test_key}".encode()
    head = [(b"authorization", key), (b"content-type", b"application/json"), (b"content-length", b"99")]
    scope: dict[str, Any] = {"type": "http", "http_version": "1.1", "method": "POST", "path": PATH, "headers": head}
    scope |= {"raw_path": PATH.encode(), "query_string": b"", "root_path": "", "scheme": "http", "client": None}
    begun: Message = {"type": "http.request", "body": b"{", "more_body": True}
    pieces = iter([begun, {"type": "http.disconnect"}])
    told: list[Message] = []

    async def receive() -> Message:
        return next(pieces)

    async def send(message: Message) -> None:
        told.append(message)

    await app(scope, receive, send)
    assert not told


async def test_a_body_that_does_not_come_is_given_up(api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "BODY_SECONDS", 0.05)

    async def drip() -> AsyncIterator[bytes]:
        yield b'{"name":'
        await asyncio.Event().wait()

    answer = await api.post(PATH, content=drip(), headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (400, "body_too_slow")


async def test_a_body_over_the_limit_is_refused_by_its_length_alone(api: httpx.AsyncClient) -> None:
    assert await send(api, b'"' + b"x" * 1024 * 1024 + b'"') == (413, "body_too_large")


async def test_a_body_over_the_limit_is_refused_while_it_streams(api: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(2_000):
            yield b" " * 1024

    refused = await api.post(PATH, content=endless(), headers=JSON)
    assert (refused.status_code, refused.json()["code"]) == (413, "body_too_large")
    assert refused.headers["content-type"] == "application/problem+json"
