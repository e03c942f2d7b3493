"""The command line as finance types it: a process of its own, on the same servers."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from typing import Any

import msgspec

from app.cli.demo.client import DemoError
from app.cli.environment import CHECKOUT


@dataclass(frozen=True, slots=True)
class Done:
    code: int
    said: Any


async def invitree(*words: str) -> Done:
    """DemoError where it ended without saying anything."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app.cli", *words, "--json"),
        cwd=CHECKOUT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    try:
        return Done(process.returncode or 0, msgspec.json.decode(out))
    except msgspec.DecodeError:
        raise DemoError(f"invitree {' '.join(words)}: {process.returncode} {err.decode()[-400:]}") from None
