"""API and worker with sabotages in them, in processes that may be killed at any moment."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from app.cli.api import API
from app.cli.serve import is_healthy
from app.cli.worker import WORKER
from app.embedded.server import last_lines
from proofs.frame import preloaded
from proofs.frame.programs import variables_of
from proofs.frame.stage import Stage

START_PATIENCE = 60.0


class UnplantedError(Exception):
    """What a sabotage names is not there: nothing was proved."""


@dataclass(frozen=True, slots=True)
class Fork:
    """`fired` appears when the sabotage strikes. `base_url` is empty for a worker."""

    process: BaseProcess
    log: Path
    fired: Path
    base_url: str = ""

    @property
    def has_fired(self) -> bool:
        return self.fired.exists()

    def kill(self) -> bool:
        """Whether it lived until then."""
        lived = self.process.is_alive()
        if lived and self.process.pid:
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.join()
        return lived and self.process.exitcode == -signal.SIGKILL


@contextlib.contextmanager
def api(stage: Stage, *names: str) -> Iterator[Fork]:
    """Ready when it is yielded; killed at the end. It listens by itself: when it is dead nobody answers."""
    port = _free_port()
    base_url = f"http://127.0.0.1:{port}"
    with program(stage, [*API, "--port", str(port)], *names, base_url=base_url) as fork:
        deadline = time.monotonic() + START_PATIENCE
        while not is_healthy(base_url):
            if time.monotonic() > deadline or not fork.process.is_alive():
                raise RuntimeError(f"the API did not start:\n{last_lines(fork.log, 30)}")
            time.sleep(0.02)
        yield fork


def worker(stage: Stage, *names: str) -> contextlib.AbstractContextManager[Fork]:
    return program(stage, WORKER, *names)


@contextlib.contextmanager
def program(stage: Stage, command: Sequence[str], *names: str, base_url: str = "") -> Iterator[Fork]:
    """`command` has the form of `python -m MODULE ARGUMENTS`; what still runs at the end is killed."""
    number = time.monotonic_ns()
    log, fired = stage.folder / f"fork-{number}.log", stage.folder / f"fired-{number}"
    variables = variables_of(stage) | {"INVITREE_PUBLIC_URL": base_url or "http://127.0.0.1"}
    started = preloaded.fork(preloaded.Order(command, variables, log, names, fired))
    fork = Fork(started.process, log, fired, base_url)
    try:
        yield fork
    finally:
        fork.kill()
        if fork.process.exitcode == preloaded.UNPLANTED:
            raise UnplantedError(f"{', '.join(names)} could not be planted:\n{last_lines(log, 5)}")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
