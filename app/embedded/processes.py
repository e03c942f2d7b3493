"""Processes told apart by more than their id, so that nobody else's is ever signalled."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

PROC = Path("/proc")
BOOT_ID = PROC / "sys/kernel/random/boot_id"


def mark_of(pid: int) -> str | None:
    """What sets this process apart from a later one with the same id: its start. None when it is gone or a zombie."""
    if not BOOT_ID.exists():
        started = subprocess.run(
            ["/bin/ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        return started.stdout.strip() or None
    try:
        # After the name in parentheses, which may itself hold blanks and parentheses: state is field 3, start field 22.
        fields = (PROC / str(pid) / "stat").read_text("ascii", "replace").rpartition(")")[2].split()
    except OSError:
        return None
    if fields[0] in "ZX":
        return None
    return f"{BOOT_ID.read_text('ascii').strip()}/{fields[19]}"


def working_in(folder: Path, program: Path) -> list[int]:
    """Processes of this program whose working folder it is. Empty where the system does not tell."""
    found = []
    # Debian's `redis-server` is a link to a program of another name.
    name = program.resolve().name
    target = folder.stat()
    for entry in PROC.glob("[0-9]*") if PROC.is_dir() else ():
        try:
            here = (entry / "cwd").stat()
            # A shell that somebody opened in the folder is no server. A replaced file's name ends in " (deleted)".
            runs = (entry / "exe").readlink().name.removesuffix(" (deleted)")
        except OSError:
            continue
        if (here.st_dev, here.st_ino) == (target.st_dev, target.st_ino) and runs == name:
            found.append(int(entry.name))
    return found


def stop_marked(pid: int, mark: str, signals: Sequence[signal.Signals], patience: float) -> None:
    """Asks with one signal after the other, each with its share of patience (seconds), the last being final."""
    for sign in signals:
        if mark_of(pid) != mark:
            return
        os.kill(pid, sign)
        os.kill(pid, signal.SIGCONT)  # a paused process would not hear the polite ones
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and mark_of(pid) == mark:
            time.sleep(0.02)
