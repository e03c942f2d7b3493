from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

import pytest

from app.tracking import batcher as batching
from app.tracking.batcher import ENOUGH, LANES, MOST_EVENTS, ROOM_FOR_FEW, Batcher, NotRecordedError
from app.tracking.hits import Hit, Target

TARGET = Target(UUID(int=1), UUID(int=2), UUID(int=3))


def hit(number: int) -> Hit:
    return Hit(UUID(int=number), TARGET, "click", "human", "direct", 0, 0)


class Store:
    """Takes batches when it is let go; says which hits were new by their numbers: the even ones."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.open = asyncio.Event()
        self.open.set()
        self.at_once = self.most_at_once = 0
        self.fault: Exception | None = None

    async def record(self, hits: Sequence[Hit]) -> list[bool]:
        self.batches.append(len(hits))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await self.open.wait()
        self.at_once -= 1
        if self.fault is not None:
            raise self.fault
        return [hit.id.int % 2 == 0 for hit in hits]


async def test_an_idle_batcher_sends_at_once() -> None:
    store = Store()
    assert await Batcher(store.record).add([hit(2)]) == [True]
    assert store.batches == [1]


async def test_what_comes_during_a_batch_leaves_together_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "LANES", 1)
    store = Store()
    store.open.clear()
    batcher = Batcher(store.record)
    first = asyncio.create_task(batcher.add([hit(1)]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    others = [asyncio.create_task(batcher.add([hit(number), hit(number + 1)])) for number in range(2, 100)]
    await asyncio.sleep(0)
    store.open.set()
    assert await first == [False]
    # Everybody is answered about their own events.
    assert [await other for other in others] == [[n % 2 == 0, n % 2 == 1] for n in range(2, 100)]
    assert store.batches == [1, 2 * 98]
    assert store.most_at_once == 1


async def test_a_batch_that_has_enough_takes_another_lane_and_the_last_one_gathers() -> None:
    store = Store()
    store.open.clear()
    batcher = Batcher(store.record)
    callers = [asyncio.create_task(batcher.add([hit(number)])) for number in range(10 * ENOUGH)]
    for _ in range(3):
        await asyncio.sleep(0)
    assert store.batches == [ENOUGH, ENOUGH, 8 * ENOUGH]
    late = [asyncio.create_task(batcher.add([hit(number)])) for number in range(2 * ENOUGH)]
    for _ in range(3):
        await asyncio.sleep(0)
    assert store.at_once == LANES
    store.open.set()
    for caller in (callers, late):
        assert [await each for each in caller] == [[number % 2 == 0] for number in range(len(caller))]
    assert store.batches == [ENOUGH, ENOUGH, 8 * ENOUGH, 2 * ENOUGH]


async def test_who_comes_when_the_last_lane_has_just_ended_is_sent() -> None:
    store = Store()
    batcher = Batcher(store.record)
    answers: list[list[bool] | None] = []
    enough = asyncio.Event()

    def again(new: list[bool] | None) -> None:
        answers.append(new)
        if len(answers) < 50:
            batcher.put([hit(len(answers))], again)
        else:
            enough.set()

    batcher.put([hit(0)], again)
    await enough.wait()
    assert answers == [[number % 2 == 0] for number in range(50)]
    await batcher.close()


async def test_a_batch_has_at_most_so_many_events_and_splits_no_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "LANES", 1)
    store = Store()
    batcher = Batcher(store.record)
    each = [hit(number) for number in range(MOST_EVENTS * 2 // 5)]
    await asyncio.gather(*(batcher.add(each) for _ in range(5)))
    assert store.batches == [2 * len(each), 2 * len(each), len(each)]


async def test_where_no_store_takes_any_and_many_wait_who_comes_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batching, "MOST_BATCHES", LANES + 2)
    store = Store()
    batcher = Batcher(store.record)
    store.fault = RuntimeError("no store")
    with pytest.raises(NotRecordedError):
        await batcher.add([hit(2)])
    store.open.clear()
    full = [hit(2)] * MOST_EVENTS
    waiting = [asyncio.create_task(batcher.add(full)) for _ in range(LANES + 2)]
    await asyncio.sleep(0)
    heard: list[list[bool] | None] = []
    batcher.put(full, heard.append)
    assert heard == [None]
    store.fault = None
    store.open.set()
    assert [len(answer) for answer in await asyncio.gather(*waiting)] == [MOST_EVENTS] * (LANES + 2)


async def test_a_store_that_is_only_slow_refuses_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "MOST_BATCHES", 2)
    store = Store()
    store.open.clear()
    batcher = Batcher(store.record)
    waiting = [asyncio.create_task(batcher.add([hit(2)] * MOST_EVENTS)) for _ in range(20)]
    await asyncio.sleep(0)
    store.open.set()
    assert [len(answer) for answer in await asyncio.gather(*waiting)] == [MOST_EVENTS] * 20


async def test_where_the_store_is_too_slow_for_what_comes_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store()
    store.open.clear()
    batcher = Batcher(store.record)
    full = [hit(2)] * MOST_EVENTS
    taken = [asyncio.create_task(batcher.add(full)) for _ in range(LANES)]
    for _ in range(3):
        await asyncio.sleep(0)
    taken += [asyncio.create_task(batcher.add(full)) for _ in range(2)]
    await asyncio.sleep(0)
    monkeypatch.setattr(batching, "MOST_BATCHES", 2)
    monkeypatch.setattr(batching, "LONGEST_SECONDS", 0.0)
    with pytest.raises(NotRecordedError):
        await batcher.add(full)
    store.open.set()
    assert [len(answer) for answer in await asyncio.gather(*taken)] == [MOST_EVENTS] * (LANES + 2)


async def test_a_click_does_not_wait_for_the_deliveries_before_it() -> None:
    store = Store()
    store.open.clear()
    batcher = Batcher(store.record)
    deliveries = [asyncio.create_task(batcher.add([hit(2)] * MOST_EVENTS)) for _ in range(LANES + 20)]
    for _ in range(3):
        await asyncio.sleep(0)
    clicks = [asyncio.create_task(batcher.add([hit(4)])) for _ in range(ROOM_FOR_FEW + 1)]
    await asyncio.sleep(0)
    store.open.set()
    assert await asyncio.gather(*clicks) == [[True]] * len(clicks)
    # With the two that left next: of the first there was room for so many.
    assert store.batches[LANES : LANES + 2] == [MOST_EVENTS + ROOM_FOR_FEW, MOST_EVENTS + 1]
    await asyncio.gather(*deliveries)


async def test_a_failed_batch_fails_its_own_callers_only() -> None:
    store = Store()
    batcher = Batcher(store.record)
    store.fault = RuntimeError("no store")
    for caller in [asyncio.create_task(batcher.add([hit(1)])) for _ in range(3)]:
        with pytest.raises(NotRecordedError):
            await caller
    store.fault = None
    assert await batcher.add([hit(2)]) == [True]


async def test_a_caller_that_goes_away_disturbs_no_other() -> None:
    store = Store()
    store.open.clear()
    batcher = Batcher(store.record)
    gone, stays = (asyncio.create_task(batcher.add([hit(2)])) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    store.open.set()
    assert await stays == [True]
    assert store.batches == [2]


async def test_a_caller_that_fails_at_its_news_disturbs_no_other() -> None:
    store = Store()
    batcher = Batcher(store.record)

    def fail(new: list[bool] | None) -> None:
        raise RuntimeError(new)

    batcher.put([hit(1)], fail)
    assert await batcher.add([hit(2)]) == [True]


async def test_closing_waits_for_what_is_on_its_way() -> None:
    store = Store()
    store.open.clear()
    batcher = Batcher(store.record)
    caller = asyncio.create_task(batcher.add([hit(2)]))
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0.01, store.open.set)
    await batcher.close()
    assert await caller == [True]


async def test_nobody_waits_for_senders_that_were_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "LANES", 1)
    store = Store()
    store.open.clear()
    batcher = Batcher(store.record)
    under_way = asyncio.create_task(batcher.add([hit(1)]))
    for _ in range(3):
        await asyncio.sleep(0)
    assert store.batches == [1]
    waiting = asyncio.create_task(batcher.add([hit(2)]))
    await asyncio.sleep(0)
    (sender,) = [task for task in asyncio.all_tasks() if task.get_coro().__name__ == "_send_all"]  # type: ignore[union-attr]
    sender.cancel()
    for refused in (under_way, waiting):
        with pytest.raises(NotRecordedError):
            await asyncio.wait_for(refused, 5)
    await batcher.close()
    store.open.set()
    assert await asyncio.wait_for(batcher.add([hit(4)]), 5) == [True]
