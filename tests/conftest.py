"""The real database and the real Redis, built by the migrations; every test is a tenant of its own."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from hypothesis import settings
from redis import Redis
from sqlalchemy.ext.asyncio import AsyncSession

from app import embedded
from app.db.migrations import upgrade
from app.kit import crypto
from app.main import create_app
from app.resources import Resources
from app.settings import get_settings
from tests.factories import MerchantFixture, make_merchant
from tests.factories.merchants import BASE_URL, client_by
from tests.factories.servers import chosen

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("house", deadline=None)
settings.load_profile("house")

# Modules and collected tests, millions of objects, live to the end: walking over them took a sixth of the tests' time.
gc.disable()

TEST_SECRETS = {
    "INVITREE_ENV": "development",
    "INVITREE_POSTER_CACHE_MB": "0",
    "INVITREE_SECRET_KEY": crypto.new_key(),
    "INVITREE_ENCRYPTION_KEYS": f"k1:{crypto.new_key()}",
    "INVITREE_BLIND_INDEX_KEY": crypto.new_key(),
    "INVITREE_PUBLIC_URL": "https://t.invitree.cn",
    "INVITREE_REGISTRATIONS_PER_HOUR": "100000",
    "INVITREE_CODES_PER_HOUR": "100000",
    "INVITREE_LOG_LEVEL": "warning",
}


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def stack() -> Iterator[embedded.Stack]:
    """PostgreSQL and Valkey of this process's own, migrated, its URLs in the environment."""
    with (
        tempfile.TemporaryDirectory(prefix="ivt-", ignore_cleanup_errors=True) as folder,
        embedded.start(Path(folder) / "data", durable=False, binaries=chosen()) as stack,
    ):
        upgrade(stack.owner_url)
        os.environ.update(
            TEST_SECRETS,
            DATABASE_URL=stack.app_url,
            DATABASE_SYSTEM_URL=stack.system_url,
            DATABASE_OWNER_URL=stack.owner_url,
            REDIS_URL=stack.redis_url,
        )
        yield stack


@pytest.fixture(scope="session")
async def app(stack: embedded.Stack) -> AsyncIterator[FastAPI]:
    """With the settings that `stack` has put into the environment."""
    application = create_app()
    async with application.router.lifespan_context(application):
        yield application


@pytest.fixture(scope="session")
def resources(app: FastAPI) -> Resources:
    found: Resources = app.state.resources
    return found


@pytest.fixture
def transport(app: FastAPI) -> httpx.AsyncBaseTransport:
    """The application itself; faults of the server come out as they are."""
    return httpx.ASGITransport(app)


@pytest.fixture
async def http(transport: httpx.AsyncBaseTransport) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a key."""
    async with httpx.AsyncClient(transport=transport, base_url=BASE_URL) as client:
        yield client


@pytest.fixture
def redis(stack: embedded.Stack) -> Iterator[Redis]:
    with Redis.from_url(stack.redis_url) as client:
        yield client


@pytest.fixture
async def merchant(resources: Resources) -> MerchantFixture:
    return await make_merchant(resources)


@pytest.fixture
async def api(transport: httpx.AsyncBaseTransport, merchant: MerchantFixture) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the merchant's test key."""
    async with client_by(transport, merchant.test_key) as client:
        yield client


@pytest.fixture
async def live_api(transport: httpx.AsyncBaseTransport, merchant: MerchantFixture) -> AsyncIterator[httpx.AsyncClient]:
    async with client_by(transport, merchant.live_key) as client:
        yield client


@pytest.fixture
async def tenant(resources: Resources, merchant: MerchantFixture) -> AsyncIterator[AsyncSession]:
    """A transaction of the test tenant as the role *app*, rolled back at the end."""
    async with resources.db.tenant(merchant.test_id) as session:
        yield session
        await session.rollback()


def wait_for(server: uvicorn.Server) -> None:
    while not server.started:
        time.sleep(0.05)


@pytest.fixture(scope="session")
async def site(app: FastAPI) -> AsyncIterator[str]:
    """The application on a port of its own; `app` has set the environment up."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    settings = get_settings().model_copy(update={"public_url": base_url})
    server = uvicorn.Server(uvicorn.Config(create_app(settings), log_level="warning", access_log=False))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
    thread.start()
    await asyncio.to_thread(wait_for, server)
    yield base_url
    server.should_exit = True
    await asyncio.to_thread(thread.join)
