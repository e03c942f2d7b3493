"""Processes forked from one that has read all our code already: a start takes a fraction of a second.

What they run is what `invitree` runs; before that, sabotages are put into them (`proofs.sabotage`).
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import runpy
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import reduction
from multiprocessing.process import BaseProcess
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Any

from proofs import sabotage

PR_SET_PDEATHSIG = 1
UNPLANTED = 87
# All that the programs and the sabotages import.
PRELOAD = [
    *("app.main", "app.worker.__main__", "uvicorn", "proofs.sabotage.catalogue", "proofs.registry"),
    "proofs.frame.warm",
]


@dataclass(frozen=True, slots=True)
class Order:
    """`command` has the form of `python -m MODULE ARGUMENTS`; `fired` is made when a sabotage strikes."""

    command: Sequence[str]
    variables: Mapping[str, str]
    log: Path
    sabotages: Sequence[str] = ()
    fired: Path | None = None


@dataclass(frozen=True, slots=True)
class Forked:
    """As much of a `subprocess.Popen` as is asked of one."""

    process: BaseProcess

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    @property
    def returncode(self) -> int | None:
        return self.process.exitcode

    def poll(self) -> int | None:
        return self.process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self.process.join(timeout)
        if self.process.exitcode is None:
            raise TimeoutExpired(self.process.name, timeout or 0.0)
        return self.process.exitcode

    def terminate(self) -> None:
        self.process.terminate()


class _Handed:
    """A descriptor on its way to another process, where it gets another number."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __reduce__(self) -> Any:
        return _take, (reduction.DupFd(self.descriptor),)


def _take(handed: Any) -> int:
    number: int = handed.detach()
    return number


def context() -> Any:
    """Whoever asks first starts the process that reads all code; it must be told then."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(PRELOAD)
    return found


def fork(order: Order, descriptors: Sequence[int] = ()) -> Forked:
    """`descriptors` are handed on; where the command names one after `--fd`, it is told the new number."""
    handed = {str(number): _Handed(number) for number in descriptors}
    process = context().Process(target=_run, args=(order, handed))
    process.start()
    return Forked(process)


def _run(order: Order, descriptors: Mapping[str, int]) -> None:
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.environ.clear()
    os.environ.update(order.variables)
    output = os.open(order.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    try:
        sabotage.apply(order.sabotages, order.fired)
    except Exception:  # noqa: BLE001 - whatever it is, the program would run without its bug, or not at all
        traceback.print_exc()
        os._exit(UNPLANTED)
    # `python -P -m MODULE ARGUMENTS`
    place = order.command.index("-m") + 1
    before = ["", *order.command]
    sys.argv = [
        str(descriptors[word]) if previous == "--fd" else word
        for previous, word in zip(before, order.command, strict=False)
    ][place:]
    runpy.run_module(order.command[place], run_name="__main__", alter_sys=True)
