"""Tracking has a database and a Valkey of its own here: its tests drain whole streams, and wipe and stop Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from fastapi import FastAPI
from redis import Redis

from app import embedded
from app.db.migrations import upgrade
from app.resources import Resources
from app.settings import Settings, get_settings
from tests.factories import MerchantFixture
from tests.factories.cluster import OwnCluster, own_cluster
from tests.factories.tracking import Link, OwnValkey, make_link, own_valkey, put_away, settle


@pytest.fixture(scope="session")
def valkey() -> Iterator[OwnValkey]:
    with own_valkey() as server:
        yield server


@pytest.fixture(scope="session")
def cluster() -> Iterator[OwnCluster]:
    with own_cluster() as found:
        yield found


@pytest.fixture(scope="session")
def settings(stack: embedded.Stack, valkey: OwnValkey) -> Settings:
    stack.create_database("tracking")
    upgrade(stack.url("owner", "tracking"))
    own = {
        "database_url": stack.url("app", "tracking"),
        "database_system_url": stack.url("system", "tracking"),
        "redis_url": valkey.url,
        "track_shards": 2,
    }
    return get_settings().model_copy(update=own)


@pytest.fixture(scope="session")
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    from app.main import create_app  # noqa: PLC0415  # reads the settings that `stack` has just set

    application = create_app(settings)
    async with application.router.lifespan_context(application):
        yield application


@pytest.fixture(scope="session")
def resources(app: FastAPI) -> Resources:
    """Said again here: the one above keeps the application of whichever test asked first."""
    found: Resources = app.state.resources
    return found


@pytest.fixture
def redis(valkey: OwnValkey) -> Iterator[Redis]:
    with Redis.from_url(valkey.url) as client:
        yield client


@pytest.fixture
async def link(resources: Resources, merchant: MerchantFixture) -> Link:
    """An active campaign's, with live counters shown."""
    await put_away(resources)
    await settle(resources)
    return await make_link(resources, merchant.test_id)
