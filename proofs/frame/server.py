"""Real API processes, as `invitree api` runs them, on a free port of 127.0.0.1."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.cli.api import API
from app.cli.environment import CHECKOUT
from app.cli.serve import is_healthy, listen, url_of
from app.embedded.server import guarded, last_lines
from proofs.frame.stage import Stage

START_PATIENCE = 60.0
STOP_PATIENCE = 10.0


class ServerError(Exception):
    """The server did not start; the message ends with what it printed."""


@dataclass(frozen=True, slots=True)
class Process:
    """One API process: where it listens, and what it wrote to standard error."""

    base_url: str
    log: Path
    child: subprocess.Popen[bytes]

    def faults(self) -> Iterator[str]:
        """What it logged as errors, and whether it ended by itself."""
        for line in self.log.read_text("utf-8", "replace").splitlines():
            if fault := _fault(line):
                yield fault
        if self.child.poll() is not None:
            yield f"a process ended with {self.child.returncode}"


@dataclass(frozen=True, slots=True)
class Server:
    """Processes on one database, each on a port of its own, so that it is known who was asked."""

    processes: Sequence[Process]

    @property
    def base_url(self) -> str:
        return self.processes[0].base_url

    def faults(self) -> list[str]:
        return [fault for process in self.processes for fault in process.faults()]


@contextlib.contextmanager
def serve(stage: Stage, *, processes: int = 1) -> Iterator[Server]:
    """Until the end of the context."""
    with contextlib.ExitStack() as cleanup:
        server = Server([_start(stage, cleanup) for _ in range(processes)])
        for process in server.processes:
            _wait_until_healthy(process)
        yield server


def _start(stage: Stage, cleanup: contextlib.ExitStack) -> Process:
    listener = cleanup.enter_context(listen("127.0.0.1", 0))
    base_url = url_of(listener)
    # The owner's rights are for migrations; no server has them.
    variables = {**os.environ, **stage.variables, "INVITREE_PUBLIC_URL": base_url, "DATABASE_OWNER_URL": ""}
    log = stage.folder / f"api-{listener.getsockname()[1]}.log"
    child = _spawn(variables, listener.fileno(), log)
    cleanup.callback(_stop, child)
    return Process(base_url, log, child)


def _spawn(variables: dict[str, str], listener: int, log: Path) -> subprocess.Popen[bytes]:
    here = os.open(CHECKOUT, os.O_RDONLY)
    try:
        with log.open("ab") as errors:
            return subprocess.Popen(
                guarded([*API, "--fd", str(listener)], signal.SIGTERM, folder=here),
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                pass_fds=(here, listener),
                start_new_session=True,
            )
    finally:
        os.close(here)


def _stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(STOP_PATIENCE)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _wait_until_healthy(process: Process) -> None:
    deadline = time.monotonic() + START_PATIENCE
    while not is_healthy(process.base_url):
        if time.monotonic() > deadline or process.child.poll() is not None:
            raise ServerError(f"The API did not start:\n{last_lines(process.log, 30)}")
        time.sleep(0.1)


def _fault(line: str) -> str | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return line if line.startswith("Traceback") else None
    if not isinstance(entry, dict) or entry.get("level") not in {"error", "critical"}:
        return None
    last = str(entry.get("exception", "")).strip().rpartition("\n")[2]
    return f"{entry.get('event')} {entry.get('path', '')} {last}".strip()
