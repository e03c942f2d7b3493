"""Waiting for so long and no longer."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Its result; TimeoutError as soon as the time is over.

    `asyncio.timeout` waits for what the cancelled work does on its way out: with a database that has stopped answering,
    seconds for a polite goodbye.
    """
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if task.done():
            return task.result()
        task.add_done_callback(_discard)
        raise TimeoutError(f"no answer within {seconds} s")
    finally:
        task.cancel()


def _discard(task: asyncio.Task[Any]) -> None:
    """Nobody waits for it any more, and its failure is no news."""
    if not task.cancelled():
        task.exception()
