"""Commands and processes as somebody at a terminal starts them."""

from __future__ import annotations

import asyncio
import os
import sys

from app.settings import Settings


async def start(settings: Settings, *program: str) -> asyncio.subprocess.Process:
    """`python -m` this, on the servers and the number of shards of these settings."""
    variables = {
        "DATABASE_URL": settings.database_url,
        "DATABASE_SYSTEM_URL": settings.database_system_url,
        "REDIS_URL": settings.redis_url,
        "TRACK_SHARDS": str(settings.track_shards),
    }
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", *program, env=os.environ | variables, stdout=pipe, stderr=pipe
    )


async def run(settings: Settings, *program: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    process = await start(settings, *program)
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def invitree(settings: Settings, *arguments: str) -> tuple[int, str, str]:
    return await run(settings, "app.cli", *arguments)
