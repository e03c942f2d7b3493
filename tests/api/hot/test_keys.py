"""API keys as they were a moment ago."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.api.hot import keys
from app.api.hot.keys import KeyCache
from app.kit import crypto
from app.kit.errors import Unauthorized, Unavailable
from app.resources import Resources
from app.settings import get_keyring
from tests.factories import MerchantFixture


class Door:
    """The database, counted, and shut when it is told to be."""

    def __init__(self, resources: Resources) -> None:
        self._db, self.asked, self.is_shut = resources.db, 0, False
        self.at_once = self.most_at_once = 0

    def lookup(self) -> AbstractAsyncContextManager[AsyncSession]:
        return self._open()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[AsyncSession]:
        self.asked += 1
        if self.is_shut:
            raise ConnectionError("nobody there")
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        async with self._db.lookup() as session:
            yield session
        self.at_once -= 1


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def door(resources: Resources) -> Door:
    return Door(resources)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(door: Door, clock: Clock) -> KeyCache:
    database: Any = door
    return KeyCache(database, get_keyring(), clock=clock)


def header(merchant: MerchantFixture) -> bytes:
    return f"Bearer {merchant.test_key}".encode()


async def test_a_key_is_asked_about_once_in_a_while(
    cache: KeyCache, door: Door, clock: Clock, merchant: MerchantFixture
) -> None:
    found = await asyncio.gather(*(cache.find(header(merchant)) for _ in range(20)))
    assert {principal.merchant_id for principal in found} == {merchant.test_id}
    assert door.asked == 1
    clock.now += keys.FRESH_SECONDS
    await cache.find(header(merchant))
    assert door.asked == 2


async def test_a_revoked_key_works_on_for_a_moment_only(
    cache: KeyCache, clock: Clock, api: httpx.AsyncClient, merchant: MerchantFixture
) -> None:
    await cache.find(header(merchant))
    await api.post("/v1/api-keys", json={"name": "another"})
    own = (await api.get("/v1/api-keys")).json()["data"][-1]["id"]
    assert (await api.delete(f"/v1/api-keys/{own}")).status_code == 204
    clock.now += keys.FRESH_SECONDS
    with pytest.raises(Unauthorized, match="api_key_invalid"):
        await cache.find(header(merchant))


async def test_while_the_database_is_away_known_keys_work_on(
    cache: KeyCache, door: Door, clock: Clock, merchant: MerchantFixture
) -> None:
    await cache.find(header(merchant))
    door.is_shut, clock.now = True, clock.now + 600
    assert (await cache.find(header(merchant))).merchant_id == merchant.test_id
    with pytest.raises(ConnectionError):
        await cache.find(f"Bearer {merchant.live_key}".encode())


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (None, "api_key_missing"),
        (b"", "api_key_missing"),
        (b"Bearer", "api_key_missing"),
        (b"Basic dXNlcjpwYXNz", "api_key_missing"),
        (b"Bearer ivt_live_", "api_key_invalid"),
        (b"Bearer \xff", "api_key_invalid"),
    ],
)
async def test_what_is_no_key_opens_nothing(cache: KeyCache, given: bytes | None, code: str) -> None:
    with pytest.raises(Unauthorized, match=code):
        await cache.find(given)


async def test_a_key_that_may_only_read_hands_in_nothing(api: httpx.AsyncClient) -> None:
    made = await api.post("/v1/api-keys", json={"name": "reader", "scopes": ["read"]})
    reader = {"Authorization": f"Bearer {made.json()['secret_key']}"}
    answer = await api.post("/v1/events", json=[], headers=reader)
    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")


async def test_not_more_keys_are_kept_than_that(
    cache: KeyCache, merchant: MerchantFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "MOST_KEYS", 1)
    await cache.find(header(merchant))
    await cache.find(f"Bearer {merchant.live_key}".encode())
    assert len(cache._known) == 1


def made_up(number: int) -> list[bytes]:
    return [f"Bearer {crypto.new_api_key(livemode=True)}".encode() for _ in range(number)]


async def test_a_flood_of_made_up_keys_is_asked_about_by_one_connection(
    cache: KeyCache, door: Door, merchant: MerchantFixture
) -> None:
    flood = [asyncio.create_task(cache.find(key)) for key in made_up(100)]
    assert (await cache.find(header(merchant))).merchant_id == merchant.test_id
    refused = await asyncio.gather(*flood, return_exceptions=True)
    assert {type(answer) for answer in refused} == {Unauthorized}
    assert (door.most_at_once, door.asked) == (1, 1)


async def test_a_key_that_nobody_has_is_not_asked_about_again_for_a_while(
    cache: KeyCache, door: Door, clock: Clock
) -> None:
    (key,) = made_up(1)
    for seconds, asked in ((0.0, 1), (keys.UNKNOWN_SECONDS - 1, 1), (1.0, 2)):
        clock.now += seconds
        with pytest.raises(Unauthorized, match="api_key_invalid"):
            await cache.find(key)
        assert door.asked == asked


async def test_what_is_no_key_is_not_asked_about(cache: KeyCache, door: Door) -> None:
    with pytest.raises(Unauthorized, match="api_key_invalid"):
        await cache.find(b"Bearer ivt_live_made_up")
    assert door.asked == 0


async def test_of_a_flood_a_bounded_number_waits_and_is_remembered(
    cache: KeyCache, clock: Clock, merchant: MerchantFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cache.find(header(merchant))
    clock.now += keys.FRESH_SECONDS
    monkeypatch.setattr(keys, "MOST_WAITING", 5)
    monkeypatch.setattr(keys, "MOST_KEYS", 3)
    flood = [asyncio.create_task(cache.find(key)) for key in made_up(8)]
    await asyncio.sleep(0)
    assert (await cache.find(header(merchant))).merchant_id == merchant.test_id, "known before: it goes first"
    told = Counter(type(answer) for answer in await asyncio.gather(*flood, return_exceptions=True))
    assert told == {Unauthorized: 5, Unavailable: 3}
    assert len(cache._unknown) == 3
