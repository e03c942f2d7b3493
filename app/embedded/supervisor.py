"""Keeps the servers alive from one thread, which also forks them: their death signal is tied to the thread that did."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.embedded.account import Account
from app.embedded.errors import EmbeddedError
from app.embedded.server import Server, last_lines, spawn
from app.kit import logging

POLL = 0.03
LONGEST_PAUSE = 5.0
# At the first start a server that ends this often without having answered will not be better next time.
GIVE_UP_AFTER = 3
STOP_PATIENCE = 10.0

log = logging.get(__name__)


@dataclass(slots=True)
class Watched:
    server: Server
    process: subprocess.Popen[bytes] | None = None
    ready: bool = False
    failures: int = 0
    start_at: float = 0.0

    @property
    def up(self) -> bool:
        return self.ready and self.process is not None and self.process.poll() is None


class Supervisor:
    """Between `start` and `stop` a server that dies is started again, after pauses that grow while it will not stay up."""

    def __init__(self, account: Account, servers: Sequence[Server], on_spawn: Callable[[dict[str, int]], None]) -> None:
        self._account = account
        self._watched = [Watched(server) for server in servers]
        self._on_spawn = on_spawn
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="embedded-supervisor", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def pids(self) -> dict[str, int]:
        return {watched.server.name: watched.process.pid for watched in self._watched if watched.process is not None}

    def wait_ready(self, timeout: float) -> None:
        """Returns when all answer; raises when one does not within `timeout` seconds, or cannot be started at all."""
        deadline = time.monotonic() + timeout
        while down := [watched for watched in self._watched if not watched.up]:
            hopeless = [watched for watched in down if watched.failures >= GIVE_UP_AFTER]
            if hopeless or time.monotonic() > deadline or not self._thread.is_alive():
                server = (hopeless or down)[0].server
                raise EmbeddedError(f"{server.name} does not run. Its log ({server.home.log}) ends:\n{tail(server)}")
            time.sleep(POLL)

    def _run(self) -> None:
        while not self._stopping.wait(POLL):
            for watched in self._watched:
                self._tend(watched)
        for watched in self._watched:
            if watched.process is not None and watched.process.poll() is None:
                watched.process.send_signal(watched.server.stop_signals[0])
        for watched in self._watched:
            end(watched)

    def _tend(self, watched: Watched) -> None:
        now = time.monotonic()
        if watched.process is None:
            if now >= watched.start_at and watched.server.may_start():
                first = watched.server.stop_signals[0]
                watched.process = spawn(self._account, watched.server.home, watched.server.command, first)
                self._on_spawn(self.pids())
        elif watched.process.poll() is not None:
            watched.failures += 1
            pause = min(0.05 * 2**watched.failures, LONGEST_PAUSE)
            log.warning(
                "embedded_server_died",
                server=watched.server.name,
                code=watched.process.returncode,
                again_in_seconds=pause,
            )
            watched.process, watched.ready, watched.start_at = None, False, now + pause
        elif not watched.ready and watched.server.is_ready(watched.process.pid):
            watched.ready, watched.failures = True, 0


def end(watched: Watched) -> None:
    """The first signal has been sent."""
    if watched.process is None:
        return
    for sign in (*watched.server.stop_signals[1:], None):
        try:
            watched.process.wait(STOP_PATIENCE)
        except subprocess.TimeoutExpired:
            if sign is not None:
                watched.process.send_signal(sign)
        else:
            return


def tail(server: Server) -> str:
    return last_lines(server.home.log)
