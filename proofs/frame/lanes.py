"""Quick runs side by side: as many lanes as cores, at most two, each a process with a stage of its own."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import TypeVar

from app.cli.output import say
from app.embedded import EmbeddedError
from proofs.frame.command import Entry, run_each
from proofs.frame.stage import open_stage

T = TypeVar("T")
MOST = 2


def run_quickly(entries: Sequence[Entry[T]], names: Sequence[str], failed: Callable[[str, str], T]) -> Mapping[str, T]:
    """The results by name, in the order of `entries`; `failed` makes one of a name and a sentence."""
    chosen = [entry for entry in entries if entry.name in names]
    context = multiprocessing.get_context("fork")
    running = []
    # Before anything runs in this process: a fork takes along neither threads nor connections.
    for lane in split(chosen, min(MOST, os.cpu_count() or 1)):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_run_lane, args=(lane, sender, failed))
        process.start()
        sender.close()
        running.append((lane, process, receiver))
    results: dict[str, T] = {}
    for lane, process, receiver in running:
        try:
            results |= receiver.recv()
        except EOFError:
            results |= {entry.name: failed(entry.name, "its process ended without a result") for entry in lane}
        process.join()
    return {entry.name: results[entry.name] for entry in chosen}


def split(entries: Sequence[Entry[T]], count: int) -> list[list[Entry[T]]]:
    """The heaviest first, each to the lane that has least so far, but all that want a durable stage to one.

    In a lane they keep their order, those that want a durable stage last: they also kill its servers.
    """
    lanes: list[list[Entry[T]]] = [[] for _ in range(count)]
    lanes[0] += [entry for entry in entries if entry.durable]
    for entry in sorted(entries, key=lambda entry: -entry.weight):
        if not entry.durable:
            min(lanes, key=lambda lane: sum(one.weight for one in lane)).append(entry)
    order = {entry.name: place for place, entry in enumerate(entries)}
    return [sorted(lane, key=lambda entry: (entry.durable, order[entry.name])) for lane in lanes if lane]


def _run_lane(lane: Sequence[Entry[T]], sender: Connection, failed: Callable[[str, str], T]) -> None:
    # Two bars that move would write over each other.
    os.environ["TTY_COMPATIBLE"] = "0"
    try:
        sender.send(asyncio.run(_run(lane, failed)))
    except EmbeddedError as error:
        say(str(error))


async def _run(lane: Sequence[Entry[T]], failed: Callable[[str, str], T]) -> dict[str, T]:
    async with open_stage(durable=any(entry.durable for entry in lane), quick=True) as stage:
        return await run_each(stage, lane, True, failed)
