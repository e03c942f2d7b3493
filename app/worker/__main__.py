"""`python -m app.worker`: runs until told to stop, finishing what it began."""

from __future__ import annotations

import asyncio
import signal

import uvloop
from prometheus_client import start_http_server

from app.db import roles
from app.kit import logging
from app.resources import open_resources
from app.settings import get_settings
from app.worker.loop import run_all
from app.worker.tasks import TASKS


async def main() -> None:
    settings = get_settings()
    logging.configure(settings.log_level, as_json=settings.log_json)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stop.set)
    if settings.worker_metrics_port is not None:
        start_http_server(settings.worker_metrics_port)
    async with open_resources(settings) as resources:
        await roles.require_bound(resources.db)
        await run_all(TASKS, resources, stop)


if __name__ == "__main__":
    uvloop.run(main())
