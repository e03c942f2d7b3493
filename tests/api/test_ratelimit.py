from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.api.ratelimit import client_address
from app.main import create_app
from app.settings import get_settings
from tests.factories.merchants import BASE_URL


@pytest.fixture(scope="module")
async def strict(app: FastAPI) -> AsyncIterator[FastAPI]:
    """The application with three registrations an hour, behind one proxy."""
    settings = get_settings().model_copy(update={"registrations_per_hour": 3, "trusted_proxies": 1})
    application = create_app(settings)
    async with application.router.lifespan_context(application):
        yield application


def new_address() -> str:
    return f"2001:db8:{random.randrange(2**16):x}:{random.randrange(2**16):x}"


async def register(app: FastAPI, address: str, **headers: str) -> httpx.Response:
    body = {"name": "x", "phone": f"137{random.randrange(10**8):08d}"}
    forwarded = {"X-Forwarded-For": address} | headers
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE_URL) as http:
        return await http.post("/v1/merchants", json=body, headers=forwarded)


async def test_registrations_of_one_address_run_out_and_say_when_they_are_back(strict: FastAPI) -> None:
    address = f"{new_address()}::1"
    answers = [await register(strict, address) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [201, 201, 201, 429]
    assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"registration";q=3;w=3600'}
    left = [answer.headers["ratelimit"].partition(";t=")[0] for answer in answers]
    assert left == ['"registration";r=2', '"registration";r=1', '"registration";r=0', '"registration";r=0']
    refused = answers[-1]
    assert refused.json()["code"] == "rate_limited"
    assert 3_500 < int(refused.headers["retry-after"]) <= 3_600
    assert refused.headers["ratelimit"].endswith(f";t={refused.headers['retry-after']}")


async def test_a_refused_registration_counts_too(strict: FastAPI) -> None:
    address = f"{new_address()}::1"
    async with httpx.AsyncClient(transport=httpx.ASGITransport(strict), base_url=BASE_URL) as http:
        for _ in range(3):
            bad = await http.post("/v1/merchants", json={}, headers={"X-Forwarded-For": address})
            assert bad.status_code == 422
    assert (await register(strict, address)).status_code == 429


async def test_a_customer_with_a_whole_ipv6_network_is_one_caller(strict: FastAPI) -> None:
    network = new_address()
    answers = [await register(strict, f"{network}::{host}") for host in ("1", "2", "ffff", "abcd")]
    assert [answer.status_code for answer in answers] == [201, 201, 201, 429]


async def test_other_addresses_are_not_held_up(strict: FastAPI) -> None:
    address = f"{new_address()}::1"
    for _ in range(4):
        await register(strict, address)
    assert (await register(strict, f"{new_address()}::1")).status_code == 201


async def test_what_a_caller_writes_into_the_header_itself_does_not_help(strict: FastAPI) -> None:
    address = f"{new_address()}::1"
    answers = [await register(strict, f"{new_address()}::1, {address}") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [201, 201, 201, 429]


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, "203.0.113.9", "198.51.100.1"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        (2, "6.6.6.6, 203.0.113.9, 10.0.0.1", "203.0.113.9"),
        (2, "203.0.113.9", "203.0.113.9"),
        (1, "", "198.51.100.1"),
    ],
)
def test_the_caller_is_the_last_hop_that_our_proxies_did_not_write(proxies: int, forwarded: str, expected: str) -> None:
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    scope: dict[str, Any] = {"type": "http", "headers": headers, "client": ("198.51.100.1", 40_000)}
    assert client_address(scope["client"], scope["headers"], proxies) == expected
