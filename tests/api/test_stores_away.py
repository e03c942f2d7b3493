"""What is answered while a store is away: by an application of its own, on ports where nobody listens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI

from app.main import create_app
from app.settings import get_settings
from tests.factories import MerchantFixture, client_with
from tests.factories.merchants import BASE_URL

NOWHERE = "127.0.0.1:1"


@asynccontextmanager
async def application(**changes: str | int) -> AsyncIterator[FastAPI]:
    app = create_app(get_settings().model_copy(update=changes))
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture(scope="module")
async def without_database(app: FastAPI) -> AsyncIterator[FastAPI]:
    nowhere = f"postgresql://nobody:nothing@{NOWHERE}/none"
    async with application(database_url=nowhere, database_system_url=nowhere) as lost:
        yield lost


@pytest.fixture(scope="module")
async def without_redis(app: FastAPI) -> AsyncIterator[FastAPI]:
    async with application(redis_url=f"redis://{NOWHERE}/0") as lost:
        yield lost


async def test_without_the_database_the_api_says_so_and_when_to_retry(
    without_database: FastAPI, merchant: MerchantFixture
) -> None:
    async with client_with(without_database, merchant.test_key) as api:
        for answer in (
            await api.get("/v1/merchant/users"),
            await api.post("/v1/merchant/users", json={"name": "x", "role": "owner"}),
            await api.post("/v1/merchants", json={"name": "x", "phone": "13812345678"}),
            await api.get("/readyz"),
        ):
            assert answer.status_code == 503, answer.text
            assert answer.json()["code"] == "database_unavailable"
            assert answer.headers["retry-after"] == "2"
            assert answer.headers["content-type"] == "application/problem+json"


async def test_while_every_connection_is_in_use_the_api_says_so(
    app: FastAPI, merchant: MerchantFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is there: to call it away would send people to look at it."""
    async with application(pool_size=1) as narrow, client_with(narrow, merchant.test_key) as api:
        db = narrow.state.resources.db
        monkeypatch.setattr(db.app_engine.sync_engine.pool, "_timeout", 0.05)
        async with db.tenant(merchant.test_id), db.tenant(merchant.test_id):  # the pool's one, and one beyond it
            answer = await api.post("/v1/merchant/users", json={"name": "x", "role": "owner"})
        told = answer.json()
        assert (answer.status_code, told["code"], answer.headers["retry-after"]) == (503, "database_busy", "5")
        assert ("in use" in told["detail"], "away" in told["detail"]) == (True, False)
        assert (await api.get("/v1/merchant/users")).json()["data"] == []


async def test_without_the_database_the_process_still_lives(without_database: FastAPI) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(without_database), base_url=BASE_URL) as http:
        assert (await http.get("/healthz")).status_code == 200
        assert (await http.get("/metrics")).status_code == 200


async def test_without_the_database_people_get_a_page(without_database: FastAPI) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(without_database), base_url=BASE_URL) as http:
        answer = await http.get("/h5/c/cmp_01h2xcejqtf2nbrexx3vqjhp41")
    assert answer.status_code == 503
    assert answer.headers["content-type"].startswith("text/html")
    assert "database" not in answer.text.lower()


async def test_without_redis_merchants_are_served_and_registered(
    without_redis: FastAPI, merchant: MerchantFixture
) -> None:
    async with client_with(without_redis, merchant.test_key) as api:
        ready = await api.get("/readyz")
        assert (ready.status_code, ready.json()["redis"]) == (200, "away")
        assert (await api.get("/v1/merchant/users")).status_code == 200
        made = await api.post("/v1/merchants", json={"name": "x", "email": f"{merchant.test_id}@example.com"})
        assert made.status_code == 201, made.text
