"""A server's own folder, and processes that are spawned in it as the servers' user."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.embedded.account import Account
from app.embedded.errors import EmbeddedError

# Nothing of the caller's environment (PGHOST, LD_PRELOAD, proxies) may change how a server behaves.
ENVIRONMENT = {"PATH": os.defpath, "LANG": "C", "TZ": "UTC"}
CHILD = Path(__file__).with_name("child.py")
LOG_LIMIT = 8_000_000


@dataclass(frozen=True, slots=True)
class Home:
    """A server's own folder, opened by the launcher: root may reach it where the server's user cannot."""

    path: Path
    descriptor: int

    @property
    def inside(self) -> str:
        """The folder as the server names it. By descriptor where privileges are dropped and the system can do that."""
        if os.geteuid() == 0 and sys.platform == "linux":
            return f"/proc/self/fd/{self.descriptor}"
        return str(self.path)

    def explain(self) -> str:
        return f"Its log ({self.log}) ends:\n{last_lines(self.log)}"

    def close(self) -> None:
        os.close(self.descriptor)

    @property
    def log(self) -> Path:
        return self.path.with_name(f"{self.path.name}.log")


def open_home(account: Account, path: Path) -> Home:
    account.make_folder(path)
    return Home(path, os.open(path, os.O_RDONLY | os.O_DIRECTORY))


def spawn(account: Account, home: Home, command: Sequence[str], death_signal: int) -> subprocess.Popen[bytes]:
    """As the servers' user, in its home, and with nothing of the caller's environment."""
    with home.log.open("ab") as log:
        if log.tell() > LOG_LIMIT:
            log.truncate(0)
        return subprocess.Popen(
            guarded(command, death_signal, folder=home.descriptor, account=account),
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(home.descriptor,),
            start_new_session=True,  # an interrupt at the terminal is not for it
        )


def guarded(command: Sequence[str], death_signal: int, *, folder: int, account: Account | None = None) -> list[str]:
    """The command, run so that the system sends it a signal when this thread's process dies, where the system can."""
    user, group = (account.uid, account.gid) if account is not None and account.dropped else (-1, -1)
    numbers = (os.getpid(), user, group, folder, int(death_signal))
    return [sys.executable, "-I", "-S", str(CHILD), *map(str, numbers), *command]


def run_to_end(account: Account, home: Home, command: Sequence[str]) -> None:
    code = spawn(account, home, command, signal.SIGKILL).wait()
    if code != 0:
        raise EmbeddedError(f"{Path(command[0]).name} failed ({code}):\n{last_lines(home.log)}")


def last_lines(log: Path, count: int = 12) -> str:
    try:
        return "\n".join(log.read_text("utf-8", "replace").splitlines()[-count:])
    except OSError:
        return ""
