"""A drawing process: does what comes on standard input, answers on standard output.

It ends with its input, so that none outlives who started it, however that one ended. It is given no environment: what
strangers uploaded is decoded here, where there is no secret to find.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from app.kit.errors import InvitreeError, Unavailable

SIZE_BYTES = 8
# Drawing the built-in templates takes 220 MB. What one giant took is not given back, so its process is given up.
MOST_MEMORY = 400_000_000
STATUS = Path("/proc/self/status")
Job = tuple[float, Callable[..., Any], tuple[Any, ...]]
Answer = tuple[bool, Any]


class TooSlow(Unavailable):
    """A job that took more than its share."""


class DrawingFault(Exception):
    """A fault of ours in a drawing process; carries its traceback."""


class _OutOfTime(BaseException):
    """Not an Exception: decoders' faults are caught as such, and this is none of them."""


def too_slow() -> TooSlow:
    return TooSlow("renderer_too_slow", "The picture took too long to draw.", retry_after=5)


def packed(value: Job | Answer) -> bytes:
    data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    return len(data).to_bytes(SIZE_BYTES, "big") + data


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # at a terminal it is meant for who started this
    signal.signal(signal.SIGPROF, _stop)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library that prints must not break in on the answers
    try:
        while memory() < MOST_MEMORY and (size := sys.stdin.buffer.read(SIZE_BYTES)):
            job = pickle.loads(sys.stdin.buffer.read(int.from_bytes(size, "big")))  # noqa: S301 - our own parent's
            answers.write(packed(answer(*job)))
            answers.flush()
    except (EOFError, pickle.UnpicklingError, BrokenPipeError):
        os._exit(0)  # nobody is left to read, not even what a closing file would still write


def memory() -> int:
    """The most that this process has held, in bytes; 0 where the system does not say.

    Not from `getrusage`: that counts what the parent held when it started this one.
    """
    try:
        status = STATUS.read_text("ascii")
    except OSError:
        return 0
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def answer(seconds: float, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Answer:
    """`seconds` of processor time: a busy machine makes nothing too slow."""
    try:
        signal.setitimer(signal.ITIMER_PROF, seconds)
        try:
            return True, function(*arguments)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
    except _OutOfTime:
        return False, too_slow()
    except InvitreeError as error:
        return False, error
    except Exception:  # noqa: BLE001 - told to the caller, with the traceback that it would not have
        return False, DrawingFault(traceback.format_exc())


def _stop(*_: object) -> NoReturn:
    raise _OutOfTime
