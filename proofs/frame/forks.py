"""API and worker forked from a process that has read their code already: a start takes a fraction of a second.

Before they run, sabotages are put into them (`proofs.sabotage`); what they run is what `invitree` runs.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import runpy
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from app.cli.api import API
from app.cli.serve import is_healthy
from app.cli.worker import WORKER
from app.embedded.server import last_lines
from proofs import sabotage
from proofs.frame.stage import Stage

PR_SET_PDEATHSIG = 1
START_PATIENCE = 60.0
# All that the two programs and the sabotages import.
PRELOAD = ["app.main", "app.worker.__main__", "uvicorn", "proofs.sabotage.catalogue", "proofs.registry"]


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
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    number = time.monotonic_ns()
    log, fired = stage.folder / f"fork-{number}.log", stage.folder / f"fired-{number}"
    variables = {**stage.variables, "DATABASE_OWNER_URL": "", "INVITREE_PUBLIC_URL": base_url or "http://127.0.0.1"}
    process = context.Process(target=_run, args=(list(command), list(names), variables, str(log), str(fired)))
    process.start()
    fork = Fork(process, log, fired, base_url)
    try:
        yield fork
    finally:
        fork.kill()


def _run(command: list[str], names: list[str], variables: Mapping[str, str], log: str, fired: str) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.environ.update(variables)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sabotage.apply(names, Path(fired))
    # `python -P -m MODULE ARGUMENTS`
    place = command.index("-m") + 1
    sys.argv = command[place:]
    runpy.run_module(command[place], run_name="__main__", alter_sys=True)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
