"""Running the generator."""

from __future__ import annotations

import asyncio
import sys

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
    try:
        printed, errors = await child.communicate(msgspec.msgpack.encode(plan))
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode:
        raise GeneratorError(errors.decode("utf-8", "replace"))
    return msgspec.msgpack.decode(printed, type=Report)
