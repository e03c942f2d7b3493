"""The cache of codes by itself, with a database that counts how often it was asked and a clock that can be moved."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any
from uuid import UUID

import pytest

from app.kit import ids
from app.kit.errors import Unavailable
from app.tracking import codes as cache
from app.tracking.codes import MISS, CampaignFacts, CampaignKey, CodeCache, Destination, Reply
from app.tracking.hits import Target

MERCHANT, CAMPAIGN, PARTICIPANT = UUID(int=1), UUID(int=2), UUID(int=3)
TARGET = Target(MERCHANT, CAMPAIGN, PARTICIPANT)
MERCHANT_ID, CAMPAIGN_ID = ids.encode("mch", MERCHANT), ids.encode("cmp", CAMPAIGN)


class World:
    """One campaign's codes. `gate` holds look-ups up until it is set."""

    def __init__(self, *known: str) -> None:
        self.known = set(known)
        self.status = "active"
        self.asked: list[list[str]] = []
        self.campaigns_read = 0
        self.away = self.is_busy = False
        self.now = 0.0
        self.at_once = self.most_at_once = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def look_up(self, codes: Collection[str], campaigns: Collection[CampaignKey]) -> Reply:
        if self.away:
            raise ConnectionRefusedError
        if self.is_busy:
            raise Unavailable("lookups_busy", "No connection was free.")
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        self.asked.append(sorted(codes))
        targets = {code: TARGET for code in codes if code in self.known}
        wanted = bool(targets) or (MERCHANT, CAMPAIGN) in campaigns
        self.campaigns_read += wanted
        facts = CampaignFacts(MERCHANT_ID, CAMPAIGN_ID, self.status, None, None, None, 0)
        await self.gate.wait()
        self.at_once -= 1
        return Reply(targets, {CAMPAIGN: facts} if wanted else {})

    def cache(self, most: int = 10) -> CodeCache:
        return CodeCache(self.look_up, clock=lambda: self.now, most=most)


async def status(codes: CodeCache, code: str) -> str | None:
    found = await codes.find(code)
    return None if found is None else found.status


async def statuses(codes: CodeCache, *asked: str) -> set[str | None]:
    found = (await codes.find_many(asked)).values()
    return {each.status if isinstance(each, Destination) else None for each in found}


async def turn() -> None:
    """Let everybody else go on, as far as they can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_known_code_is_at_hand_without_waiting() -> None:
    world = World("a")
    codes = world.cache()
    assert codes.get("a") is MISS
    found = await codes.find("a")
    assert found is not None
    assert (found.target, found.landing) == (TARGET, f"/h5/c/{CAMPAIGN_ID}?code=a")
    assert codes.get("a") is found
    assert world.asked == [["a"]]


async def test_while_announcements_are_heard_an_answer_is_good_for_long() -> None:
    world = World("a")
    codes = world.cache()
    codes.listen(True)
    await codes.find("a")
    world.status, world.now = "paused", cache.LISTENING_SECONDS - 1
    assert await status(codes, "a") == "active"


async def test_a_change_that_is_announced_is_seen_at_once() -> None:
    for subject_id in (CAMPAIGN_ID, MERCHANT_ID):
        world = World("a")
        codes = world.cache()
        codes.listen(True)
        await codes.find("a")
        world.status = "paused"
        codes.forget(ids.encode("cmp", UUID(int=9)))
        codes.forget(ids.encode("mch", UUID(int=9)))
        assert await status(codes, "a") == "active"
        codes.forget(subject_id)
        assert codes.get("a") is MISS
        assert await status(codes, "a") == "paused"


async def test_a_change_that_is_announced_during_a_look_up_is_not_missed() -> None:
    world = World("a")
    codes = world.cache()
    codes.listen(True)
    world.gate.clear()
    first = asyncio.create_task(codes.find("a"))
    await turn()
    world.status = "paused"
    codes.forget(CAMPAIGN_ID)
    world.gate.set()
    await first
    assert await status(codes, "a") == "paused"


@pytest.mark.parametrize("many", [False, True])
async def test_who_asks_after_a_change_does_not_share_an_answer_from_before_it(many: bool) -> None:
    world = World("a")
    codes = world.cache()
    codes.listen(True)
    world.gate.clear()
    before = asyncio.create_task(status(codes, "a"))
    await turn()
    world.status = "ended"
    codes.forget(CAMPAIGN_ID)
    after: asyncio.Task[Any] = asyncio.create_task(statuses(codes, "a") if many else status(codes, "a"))
    await turn()
    world.gate.set()
    assert (await before, await after) == ("active", {"ended"} if many else "ended")
    assert await status(codes, "a") == "ended"
    assert world.campaigns_read == 2


async def test_whoever_begins_to_listen_knows_nothing_of_what_was_said_before() -> None:
    world = World("a")
    codes = world.cache()
    await codes.find("a")
    world.status = "paused"
    codes.listen(True)
    assert await status(codes, "a") == "paused"


async def test_whoever_cannot_listen_any_more_asks_every_few_seconds() -> None:
    world = World("a")
    codes = world.cache()
    codes.listen(True)
    await codes.find("a")
    codes.listen(False)
    world.status, world.now = "paused", cache.ALONE_SECONDS + cache.OVERDUE_SECONDS
    assert await status(codes, "a") == "paused"


async def test_an_answer_that_is_just_past_its_time_is_shown_while_it_is_read_again() -> None:
    world = World("a")
    codes = world.cache()
    await codes.find("a")
    world.status, world.now = "paused", cache.ALONE_SECONDS
    world.gate.clear()
    for _ in range(3):
        assert await status(codes, "a") == "active"
        await turn()
    world.gate.set()
    await turn()
    assert await status(codes, "a") == "paused"
    assert world.campaigns_read == 2


async def test_codes_of_one_campaign_are_refreshed_by_one_read() -> None:
    world = World(*"abcdefghi")
    codes = world.cache()
    await codes.find_many("abcdefghi")
    world.status, world.now = "paused", 1_000.0
    assert await statuses(codes, *"abcdefghi") == {"paused"}
    assert world.asked == [list("abcdefghi"), []]


async def test_an_unknown_code_is_remembered_shortly_and_may_come_to_be() -> None:
    world = World()
    codes = world.cache()
    assert await codes.find("a") is None
    assert codes.get("a") is None
    assert world.asked == [["a"]]
    world.known.add("a")
    world.now = cache.UNKNOWN_SECONDS
    assert await codes.find("a") is not None


async def test_many_who_wait_are_one_look_up() -> None:
    world = World("a", "b", "c", "d")
    codes = world.cache()
    world.gate.clear()
    first = asyncio.create_task(codes.find("a"))
    await turn()
    rest = [asyncio.create_task(codes.find(code)) for code in ("b", "c", "c", "x", "a")]
    await turn()
    world.gate.set()
    found = [await task for task in (first, *rest)]
    assert [destination is None for destination in found] == [False, False, False, False, True, False]
    assert world.asked == [["a"], ["b", "c", "x"]]
    assert world.most_at_once == 1


async def test_guessing_codes_fills_no_memory_and_evicts_no_known_one() -> None:
    world = World("a")
    codes = world.cache(most=10)
    await codes.find("a")
    for number in range(100):
        await codes.find(f"guess-{number}")
    assert len(codes._unknown) == 10
    assert isinstance(codes.get("a"), Destination)


async def test_of_a_flood_of_guesses_a_bounded_number_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MOST_WAITING", 20)
    monkeypatch.setattr(cache, "MOST_AT_ONCE", 8)
    world = World("known")
    codes = world.cache()
    await codes.find("known")
    world.gate.clear()
    flood = [asyncio.create_task(codes.find(f"guess-{number}")) for number in range(30)]
    await turn()
    world.gate.set()
    answers = await asyncio.gather(*flood, return_exceptions=True)
    assert [answer for answer in answers if answer is None] == [None] * 20
    refused = [answer for answer in answers if isinstance(answer, Unavailable)]
    assert (len(refused), refused[0].code, refused[0].retry_after) == (10, "too_many_unknown_codes", 1)
    assert max(map(len, world.asked)) <= 8
    assert isinstance(codes.get("known"), Destination)


async def test_the_oldest_known_codes_make_room() -> None:
    world = World(*map(str, range(30)))
    codes = world.cache(most=10)
    assert len(await codes.find_many(map(str, range(30)))) == 30
    assert set(codes._known) == set(map(str, range(20, 30)))
    assert codes._campaigns[CAMPAIGN].codes == 10


async def test_a_campaign_without_codes_is_forgotten() -> None:
    world = World("a")
    codes = world.cache(most=0)
    assert await codes.find("a") is not None
    assert codes._campaigns == {}


async def test_while_the_database_is_away_old_answers_lead_on_and_nobody_waits_for_it() -> None:
    world = World("a")
    codes = world.cache()
    await codes.find("a")
    world.away, world.now = True, 1_000.0
    assert await status(codes, "a") == "active"
    with pytest.raises(ConnectionRefusedError):
        await codes.find("b")
    codes.forget(CAMPAIGN_ID)
    assert isinstance(codes.get("a"), Destination)
    world.away, world.status = False, "paused"
    with pytest.raises(ConnectionRefusedError):
        await codes.find("b")
    world.now += cache.ASK_AGAIN_SECONDS
    assert await codes.find("b") is None
    assert await status(codes, "a") == "paused"


async def test_while_too_much_is_looked_up_known_codes_lead_on_and_others_are_asked_for_again_at_once() -> None:
    world = World("a", "b")
    codes = world.cache()
    await codes.find("a")
    world.is_busy, world.now = True, 1_000.0
    with pytest.raises(Unavailable, match="lookups_busy"):
        await codes.find("b")
    assert await status(codes, "a") == "active"
    world.is_busy = False
    assert await status(codes, "b") == "active"


async def test_of_many_those_at_hand_are_told_although_others_cannot_be_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World("a", "b")
    codes = world.cache()
    await codes.find("a")
    world.away = True
    for _ in range(2):
        known, other = (await codes.find_many("ab")).values()
        assert isinstance(known, Destination)
        assert isinstance(other, ConnectionRefusedError)
    world.away, world.now = False, cache.ASK_AGAIN_SECONDS
    monkeypatch.setattr(cache, "MOST_WAITING", 1)
    known, *others = (await codes.find_many("abc")).values()
    assert isinstance(known, Destination)
    assert [isinstance(other, Unavailable) for other in others] == [True, True]
    assert await statuses(codes, "a", "b") == {"active"}


async def test_nobody_waits_for_an_answer_after_the_end() -> None:
    world = World("a")
    codes = world.cache()
    world.gate.clear()
    waiting = asyncio.create_task(codes.find("a"))
    await turn()
    await codes.close()
    with pytest.raises(ConnectionError):
        await waiting


@pytest.mark.parametrize("many", [False, True])
async def test_who_leaves_takes_nobody_along(many: bool) -> None:
    world = World("a")
    codes = world.cache()
    world.gate.clear()
    leaving = asyncio.create_task(codes.find_many(["a"]) if many else codes.find("a"))
    staying = [asyncio.create_task(codes.find("a")), asyncio.create_task(codes.find_many(["a"]))]
    await turn()
    leaving.cancel()
    await turn()
    world.gate.set()
    assert all(await asyncio.gather(*staying))
    assert world.asked == [["a"]]
