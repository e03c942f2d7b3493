from __future__ import annotations

import asyncio

import pytest

from app.kit.patience import within


async def test_what_comes_in_time_is_the_answer() -> None:
    async def answer() -> int:
        await asyncio.sleep(0)
        return 7

    assert await within(10, answer()) == 7


async def test_a_failure_in_time_is_the_callers() -> None:
    async def fail() -> int:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await within(10, fail())


async def test_nobody_waits_for_a_long_goodbye() -> None:
    cancelled, may_go = asyncio.Event(), asyncio.Event()

    async def linger() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
            await may_go.wait()

    with pytest.raises(TimeoutError, match=r"within 0\.01 s"):
        await within(0.01, linger())
    await cancelled.wait()
    may_go.set()


async def test_who_is_cancelled_leaves_nothing_behind() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    waiting = asyncio.create_task(within(10, work()))
    await begun.wait()
    waiting.cancel()
    await ended.wait()
    with pytest.raises(asyncio.CancelledError):
        await waiting
