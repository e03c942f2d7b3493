"""`python -m app.worker`: runs until told to stop, finishing what it began."""

from __future__ import annotations

import asyncio
import signal
import sys

import uvloop
from prometheus_client import start_http_server

from app.kit import garbage, logging
from app.resources import REFUSALS, REFUSED_EXIT, Resources, open_resources, require_fit
from app.settings import get_settings
from app.worker.loop import run_all, sleep
from app.worker.tasks import TASKS

log = logging.get(__name__)
PAUSE_SECONDS = 0.5


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
        await _fit(resources, stop)
        garbage.look_seldom()
        await run_all(TASKS, resources, stop)


async def _fit(resources: Resources, stop: asyncio.Event) -> None:
    """Without the database there is nothing to do, and with another number of shards all of it would be wrong."""
    while not stop.is_set() and not await require_fit(resources):
        await sleep(stop, PAUSE_SECONDS)


if __name__ == "__main__":
    try:
        uvloop.run(main())
    except REFUSALS as refusal:
        log.critical("start_refused", reason=str(refusal))
        sys.exit(REFUSED_EXIT)
