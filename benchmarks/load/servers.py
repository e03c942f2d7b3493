"""Ceilings as real processes, with the very command line of `invitree api` but for the application."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import httpx

from app.cli.api import API
from app.cli.environment import CHECKOUT
from app.cli.serve import listen, url_of
from app.embedded.server import guarded
from proofs.frame.server import Server
from proofs.frame.stage import Stage

START_PATIENCE = 30.0
STOP_PATIENCE = 10.0
_APPLICATION = "app.main:create_server"


@dataclass(frozen=True, slots=True)
class Served:
    """One application on some processes; `addresses` and `pids` in the same order."""

    addresses: Sequence[tuple[str, int]]
    pids: Sequence[int]

    def first(self, processes: int) -> Served:
        return Served(self.addresses[:processes], self.pids[:processes])


def served(server: Server) -> Served:
    """Invitree's own processes."""
    return Served([_address(process.base_url) for process in server.processes], [p.child.pid for p in server.processes])


def as_in_production(stage: Stage) -> Stage:
    """The log at its default level, and one proxy in front, which says whose address it is."""
    chosen = {"INVITREE_LOG_LEVEL": "info", "INVITREE_TRUSTED_PROXIES": "1"}
    return replace(stage, variables=stage.variables | chosen)


@contextlib.contextmanager
def serve_ceiling(factory: str, variables: dict[str, str], *, processes: int = 1) -> Iterator[Served]:
    """`factory`: a function of `benchmarks.ceilings`."""
    command = [f"benchmarks.ceilings:{factory}" if word == _APPLICATION else word for word in API]
    with contextlib.ExitStack() as cleanup:
        listeners = [cleanup.enter_context(listen("127.0.0.1", 0)) for _ in range(processes)]
        pids = []
        for listener in listeners:
            child = _spawn([*command, "--fd", str(listener.fileno())], os.environ | variables, listener.fileno())
            cleanup.callback(_stop, child)
            pids.append(child.pid)
        for listener in listeners:
            _wait(url_of(listener))
        yield Served([_address(url_of(listener)) for listener in listeners], pids)


def _spawn(command: list[str], variables: dict[str, str], listener: int) -> subprocess.Popen[bytes]:
    here = os.open(CHECKOUT, os.O_RDONLY)
    try:
        return subprocess.Popen(
            guarded(command, signal.SIGTERM, folder=here),
            env=variables,
            stdin=subprocess.DEVNULL,
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


def _wait(base_url: str) -> None:
    deadline = time.monotonic() + START_PATIENCE
    while True:
        try:
            httpx.post(base_url, content=b"[]", timeout=START_PATIENCE, trust_env=False)
        except httpx.HTTPError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def _address(base_url: str) -> tuple[str, int]:
    found = urlsplit(base_url)
    return found.hostname or "", found.port or 0
