"""A process whose connections are all in use elsewhere: links lead on, events are taken."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from app.api.hot.keys import KeyCache
from app.kit.errors import Unavailable
from app.resources import Resources, open_resources
from app.tracking import fallback
from app.tracking.codes import Destination
from tests.factories import MerchantFixture
from tests.factories.tracking import Link, make_hit


@pytest.fixture
async def busy(resources: Resources) -> AsyncIterator[Resources]:
    """Of its own, with nothing left of what requests, figures and the rest share."""
    async with open_resources(resources.settings.model_copy(update={"pool_size": 1})) as own, AsyncExitStack() as held:
        for engine in (own.db.app_engine, own.db.system_engine):
            for _ in range(2):
                await held.enter_async_context(engine.connect())
        yield own


async def test_a_link_that_the_process_does_not_know_leads_on(busy: Resources, link: Link) -> None:
    found = await busy.tracker.codes.find(link.code)
    assert isinstance(found, Destination)
    assert await busy.tracker.channel(found.campaign, "brand_new") == "brand_new"


async def test_a_key_that_the_process_does_not_know_opens(busy: Resources, merchant: MerchantFixture) -> None:
    cache = KeyCache(busy.db, busy.settings.keyring())
    found = await cache.find(f"Bearer {merchant.test_key}".encode())
    assert found.merchant_id == merchant.test_id


async def test_events_go_to_postgres(busy: Resources, link: Link) -> None:
    assert await fallback.record(busy.db, [make_hit(link)]) == [True]


async def test_where_even_those_are_in_use_the_next_one_asks_again(busy: Resources, link: Link) -> None:
    async with AsyncExitStack() as held:
        for _ in range(4):
            await held.enter_async_context(busy.db.lookup_engine.connect())
        with pytest.raises(Unavailable, match="lookups_busy"):
            await busy.tracker.codes.find(link.code)
    assert await busy.tracker.codes.find(link.code) is not None
