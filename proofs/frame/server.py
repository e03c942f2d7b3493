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
class Server:
    """Processes that share one listening socket; `log` is what they wrote to standard error."""

    base_url: str
    log: Path
    processes: Sequence[subprocess.Popen[bytes]]

    def faults(self) -> list[str]:
        """What it logged as errors, and processes that ended by themselves."""
        logged = [fault for line in self.log.read_text("utf-8", "replace").splitlines() if (fault := _fault(line))]
        return logged + [f"a process ended with {it.returncode}" for it in self.processes if it.poll() is not None]


@contextlib.contextmanager
def serve(stage: Stage, *, processes: int = 1) -> Iterator[Server]:
    """Until the end of the context."""
    with listen("127.0.0.1", 0) as listener, contextlib.ExitStack() as cleanup:
        base_url = url_of(listener)
        # The owner's rights are for migrations; no server has them.
        variables = {**os.environ, **stage.variables, "INVITREE_PUBLIC_URL": base_url, "DATABASE_OWNER_URL": ""}
        log = stage.folder / f"api-{listener.getsockname()[1]}.log"
        children = []
        for _ in range(processes):
            children.append(_spawn(variables, listener.fileno(), log))
            cleanup.callback(_stop, children[-1])
        server = Server(base_url, log, children)
        _wait_until_healthy(server)
        yield server


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


def _wait_until_healthy(server: Server) -> None:
    deadline = time.monotonic() + START_PATIENCE
    while not is_healthy(server.base_url):
        if time.monotonic() > deadline or any(child.poll() is not None for child in server.processes):
            raise ServerError(f"The API did not start:\n{last_lines(server.log, 30)}")
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
