from __future__ import annotations

from uuid import UUID

import pytest

from app.tracking.codes import FRESH_SECONDS, CodeCache, Destination, Found
from app.tracking.hits import Target

TARGET = Target(UUID(int=1), UUID(int=2), UUID(int=3))


class Codes:
    """A look-up that can be asked how often it was asked, and a clock that can be moved."""

    def __init__(self, *known: str) -> None:
        self.status = dict.fromkeys(known, "active")
        self.asked: list[str] = []
        self.away = False
        self.now = 0.0

    async def look_up(self, codes: list[str]) -> Found:
        if self.away:
            raise ConnectionRefusedError
        self.asked += codes
        return {code: self.destination(code) for code in codes if code in self.status}

    def destination(self, code: str) -> Destination:
        return Destination(TARGET, "mch", "cmp", self.status[code], None, None, None, 0)

    def clock(self) -> float:
        return self.now

    def cache(self, most: int = 10) -> CodeCache:
        return CodeCache(self.look_up, clock=self.clock, most=most)


async def test_a_known_code_is_looked_up_once_in_a_few_seconds() -> None:
    codes = Codes("a")
    cache = codes.cache()
    assert await cache.find("a") == await cache.find("a") == codes.destination("a")
    assert codes.asked == ["a"]


async def test_a_paused_campaign_is_seen_after_a_few_seconds() -> None:
    codes = Codes("a")
    cache = codes.cache()
    await cache.find("a")
    codes.status["a"], codes.now = "paused", FRESH_SECONDS
    found = await cache.find("a")
    assert found is not None
    assert found.status == "paused"


async def test_an_unknown_code_is_remembered_too_and_may_come_to_be() -> None:
    codes = Codes()
    cache = codes.cache()
    assert await cache.find("a") is None
    assert await cache.find("a") is None
    assert codes.asked == ["a"]
    codes.status["a"], codes.now = "active", FRESH_SECONDS
    assert await cache.find("a") is not None


async def test_many_codes_are_one_look_up_of_those_that_are_not_known() -> None:
    codes = Codes("a", "b", "c")
    cache = codes.cache()
    await cache.find("b")
    assert set(await cache.find_many(["a", "b", "c", "a", "x"])) == {"a", "b", "c"}
    assert codes.asked == ["b", "a", "c", "x"]


async def test_guessing_codes_fills_no_memory_and_evicts_no_known_one() -> None:
    codes = Codes("a")
    cache = codes.cache(most=10)
    await cache.find("a")
    for number in range(100):
        await cache.find(f"guess-{number}")
    assert len(cache._unknown) == 10
    await cache.find("a")
    assert codes.asked.count("a") == 1


async def test_the_oldest_known_codes_make_room() -> None:
    codes = Codes(*map(str, range(30)))
    cache = codes.cache(most=10)
    for number in range(30):
        assert await cache.find(str(number)) is not None
    assert set(cache._known) == set(map(str, range(20, 30)))


async def test_while_the_database_is_away_old_answers_lead_on() -> None:
    codes = Codes("a")
    cache = codes.cache()
    await cache.find("a")
    codes.away, codes.now = True, 1_000.0
    assert await cache.find("a") == codes.destination("a")
    with pytest.raises(ConnectionRefusedError):
        await cache.find("b")
