"""Keeps programs alive from one thread, which also forks them: their death signal is tied to the thread that did."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from app.embedded.errors import EmbeddedError
from app.kit import logging

POLL = 0.03
LONGEST_PAUSE = 5.0
# At the first start a server that ends this often without having answered will not be better next time.
GIVE_UP_AFTER = 3
STOP_PATIENCE = 10.0

log = logging.get(__name__)


@dataclass(frozen=True, slots=True)
class Program:
    """`stop_signals` go from polite to final. Ready is what says so after living `steady_after` seconds."""

    name: str
    spawn: Callable[[], subprocess.Popen[bytes]]
    stop_signals: tuple[signal.Signals, ...]
    is_ready: Callable[[int], bool] = lambda _pid: True
    steady_after: float = 0.0
    may_start: Callable[[], bool] = lambda: True
    explain: Callable[[], str] = lambda: ""


@dataclass(slots=True)
class Watched:
    program: Program
    process: subprocess.Popen[bytes] | None = None
    ready: bool = False
    failures: int = 0
    since: float = field(default_factory=time.monotonic)
    start_at: float = 0.0

    @property
    def up(self) -> bool:
        return self.ready and self.process is not None and self.process.poll() is None


class Supervisor:
    """Between `start` and `stop` a program that dies is started again, after pauses that grow while it stays down."""

    def __init__(self, programs: Sequence[Program], on_spawn: Callable[[dict[str, int]], None] | None = None) -> None:
        self._watched = [Watched(program) for program in programs]
        self._on_spawn = on_spawn
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def pids(self) -> dict[str, int]:
        return {watched.program.name: watched.process.pid for watched in self._watched if watched.process is not None}

    def wait_ready(self, timeout: float, *, only: str | None = None) -> None:
        """Returns when all are up (or the one named); raises when one is not in `timeout` seconds, or is hopeless."""
        deadline = time.monotonic() + timeout
        awaited = [watched for watched in self._watched if only in (None, watched.program.name)]
        while down := [watched for watched in awaited if not watched.up]:
            hopeless = [watched for watched in down if watched.failures >= GIVE_UP_AFTER]
            if hopeless or time.monotonic() > deadline or not self._thread.is_alive():
                program = (hopeless or down)[0].program
                raise EmbeddedError(f"{program.name} does not run. {program.explain()}".strip())
            time.sleep(POLL)

    def _run(self) -> None:
        while not self._stopping.wait(POLL):
            for watched in self._watched:
                self._tend(watched)
        running = [watched for watched in self._watched if watched.process is not None]
        for watched in running:
            send(watched, watched.program.stop_signals[0])
        for watched in running:
            end(watched)

    def _tend(self, watched: Watched) -> None:
        now = time.monotonic()
        if watched.process is None:
            if now >= watched.start_at and watched.program.may_start():
                watched.process, watched.since = watched.program.spawn(), now
                if self._on_spawn is not None:
                    self._on_spawn(self.pids())
        elif watched.process.poll() is not None:
            self._note_death(watched, now)
        elif not watched.ready and now - watched.since >= watched.program.steady_after:
            watched.ready = watched.program.is_ready(watched.process.pid)
            watched.failures = 0 if watched.ready else watched.failures

    def _note_death(self, watched: Watched, now: float) -> None:
        code = watched.process.returncode if watched.process is not None else None
        watched.failures += 1
        pause = min(0.05 * 2**watched.failures, LONGEST_PAUSE)
        watched.process, watched.ready, watched.start_at = None, False, now + pause
        log.warning("program_died", program=watched.program.name, code=code, again_in_seconds=pause)


def send(watched: Watched, sign: signal.Signals) -> None:
    if watched.process is not None and watched.process.poll() is None:
        watched.process.send_signal(sign)


def end(watched: Watched) -> None:
    """The first signal has been sent; the last one cannot be refused."""
    if watched.process is None:
        return
    for sign in watched.program.stop_signals[1:]:
        try:
            watched.process.wait(STOP_PATIENCE)
        except subprocess.TimeoutExpired:
            send(watched, sign)
        else:
            return
    watched.process.wait()
