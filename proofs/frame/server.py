"""Real API processes, as `invitree api` runs them, on a free port of 127.0.0.1."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.cli.api import API
from app.cli.serve import is_healthy, listen, url_of
from app.embedded.server import last_lines
from proofs.frame.preloaded import Forked
from proofs.frame.programs import Program, variables_of
from proofs.frame.stage import Stage

START_PATIENCE = 60.0


class ServerError(Exception):
    """The server did not start; the message ends with what it printed."""


@dataclass(frozen=True, slots=True)
class Process:
    """One API process: where it listens, also while it is started again, and what it wrote to standard error."""

    base_url: str
    program: Program

    @property
    def log(self) -> Path:
        return self.program.log

    @property
    def child(self) -> subprocess.Popen[bytes] | Forked:
        assert self.program.child is not None
        return self.program.child

    def faults(self) -> Iterator[str]:
        """What it logged as errors, and whether it ended by itself."""
        for line in self.log.read_text("utf-8", "replace").splitlines():
            if fault := _fault(line):
                yield fault
        if self.child.poll() is not None:
            yield f"a process ended with {self.child.returncode}"

    def wait_until_healthy(self) -> None:
        deadline = time.monotonic() + START_PATIENCE
        while not is_healthy(self.base_url):
            if time.monotonic() > deadline or self.program.pid is None:
                raise ServerError(f"The API did not start:\n{last_lines(self.log, 30)}")
            time.sleep(0.05)


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
def serve(stage: Stage, *, processes: int = 1, command: Sequence[str] = API, **variables: str) -> Iterator[Server]:
    """Until the end of the context; `variables` beside those of the stage."""
    with contextlib.ExitStack() as cleanup:
        server = Server([_start(stage, cleanup, command, variables) for _ in range(processes)])
        for process in server.processes:
            process.wait_until_healthy()
        yield server


def _start(stage: Stage, cleanup: contextlib.ExitStack, command: Sequence[str], variables: dict[str, str]) -> Process:
    listener = cleanup.enter_context(listen("127.0.0.1", 0))
    base_url = url_of(listener)
    program = Program(
        [*command, "--fd", str(listener.fileno())],
        variables_of(stage) | {"INVITREE_PUBLIC_URL": base_url} | variables,
        stage.folder / f"api-{listener.getsockname()[1]}.log",
        (listener.fileno(),),
        is_preloaded=stage.is_quick,
    )
    program.start()
    cleanup.callback(program.stop)
    return Process(base_url, program)


def _fault(line: str) -> str | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return line if line.startswith("Traceback") else None
    if not isinstance(entry, dict) or entry.get("level") not in {"error", "critical"}:
        return None
    last = str(entry.get("exception", "")).strip().rpartition("\n")[2]
    return f"{entry.get('event')} {entry.get('path', '')} {last}".strip()
