"""Running the generator."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Collection
from pathlib import Path

import msgspec

from app.cli.environment import CHECKOUT
from benchmarks.load.plan import Plan, Report

_COMMAND = (sys.executable, "-P", "-m", "benchmarks.load.generator")


class GeneratorError(Exception):
    """The generator ended without a report; the message is what it printed."""


async def fire(plan: Plan) -> Report:
    child = await asyncio.create_subprocess_exec(
        *_COMMAND,
        cwd=CHECKOUT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _settle(plan, child.pid)
    try:
        printed, errors = await child.communicate(msgspec.msgpack.encode(plan))
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode:
        raise GeneratorError(errors.decode("utf-8", "replace"))
    return msgspec.msgpack.decode(printed, type=Report)


def _settle(plan: Plan, generator: int) -> None:
    """One server has a processor of its own, and all else the others: else it is the scheduler's luck that is measured.

    Several servers take turns with the rest.
    """
    everywhere = os.sched_getaffinity(0)
    first, *others = sorted(everywhere)
    is_alone = len(plan.processes["server"]) == 1 and bool(others)
    for name, pids in plan.processes.items():
        for pid in pids:
            _keep_to(pid, everywhere if not is_alone else {first} if name == "server" else set(others))
    _keep_to(generator, set(others) if is_alone else everywhere)


def _keep_to(pid: int, processors: Collection[int]) -> None:
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), processors)
