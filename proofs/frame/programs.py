"""One of our programs as a process of its own, which may be killed and started again as it was."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.cli.environment import CHECKOUT
from app.cli.worker import WORKER
from app.embedded.server import guarded
from proofs.frame import preloaded
from proofs.frame.stage import Stage

STOP_PATIENCE = 10.0


@dataclass(slots=True)
class Program:
    """`log` takes all that it prints; `descriptors` are handed on to it; `is_preloaded`: forked, not started anew."""

    command: Sequence[str]
    variables: Mapping[str, str]
    log: Path
    descriptors: tuple[int, ...] = ()
    is_preloaded: bool = False
    child: subprocess.Popen[bytes] | preloaded.Forked | None = None

    def start(self) -> None:
        """From the main thread only: the system ends it together with the thread that forked it."""
        if self.is_preloaded:
            order = preloaded.Order(self.command, self.variables, self.log)
            self.child = preloaded.fork(order, self.descriptors)
            return
        here = os.open(CHECKOUT, os.O_RDONLY)
        try:
            with self.log.open("ab") as output:
                self.child = subprocess.Popen(
                    guarded(self.command, signal.SIGTERM, folder=here),
                    env=dict(self.variables),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=(here, *self.descriptors),
                    start_new_session=True,
                )
        finally:
            os.close(here)

    @property
    def pid(self) -> int | None:
        """None where it does not live."""
        return self.child.pid if self.child is not None and self.child.poll() is None else None

    def kill(self) -> bool:
        """SIGKILL to it and what it has forked. Whether it lived until then."""
        if self.child is None or self.pid is None:
            return False
        for kill in (os.killpg, os.kill):  # a fork that has hardly begun has no group of its own yet
            with contextlib.suppress(ProcessLookupError):
                kill(self.child.pid, signal.SIGKILL)
        return self.child.wait() == -signal.SIGKILL

    def stop(self) -> None:
        if self.child is None:
            return
        self.child.terminate()
        try:
            self.child.wait(STOP_PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()


def variables_of(stage: Stage) -> dict[str, str]:
    """The owner's rights are for migrations; no server has them."""
    return {**os.environ, **stage.variables, "DATABASE_OWNER_URL": ""}


@contextlib.contextmanager
def work(stage: Stage, command: Sequence[str] = WORKER, **variables: str) -> Iterator[Program]:
    """A worker, as `invitree worker` runs it, until the end of the context."""
    log = stage.folder / "worker.log"
    program = Program(command, variables_of(stage) | variables, log, is_preloaded=stage.is_quick)
    program.start()
    try:
        yield program
    finally:
        program.stop()
