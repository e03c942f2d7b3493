"""One server: how it is spawned, how to see that it answers, how it is asked to stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
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

    def close(self) -> None:
        os.close(self.descriptor)

    @property
    def log(self) -> Path:
        return self.path.with_name(f"{self.path.name}.log")


@dataclass(frozen=True, slots=True)
class Server:
    """Stop signals go from polite to final; the first is also what the child gets when the launcher dies."""

    name: str
    home: Home
    command: Sequence[str]
    may_start: Callable[[], bool]
    is_ready: Callable[[int], bool]
    stop_signals: tuple[signal.Signals, ...]


def open_home(account: Account, path: Path) -> Home:
    account.make_folder(path)
    return Home(path, os.open(path, os.O_RDONLY | os.O_DIRECTORY))


def spawn(account: Account, home: Home, command: Sequence[str], death_signal: int) -> subprocess.Popen[bytes]:
    """As the servers' user, in its home, in a session of its own: an interrupt at the terminal is not for it."""
    user, group = (account.uid, account.gid) if account.dropped else (-1, -1)
    wrapper = [sys.executable, "-I", "-S", str(CHILD)]
    wrapper += [str(value) for value in (os.getpid(), user, group, home.descriptor, int(death_signal))]
    with home.log.open("ab") as log:
        if log.tell() > LOG_LIMIT:
            log.truncate(0)
        return subprocess.Popen(
            [*wrapper, *command],
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(home.descriptor,),
            start_new_session=True,
        )


def run_to_end(account: Account, home: Home, command: Sequence[str]) -> None:
    code = spawn(account, home, command, signal.SIGKILL).wait()
    if code != 0:
        raise EmbeddedError(f"{Path(command[0]).name} failed ({code}):\n{last_lines(home.log)}")


def last_lines(log: Path, count: int = 12) -> str:
    try:
        return "\n".join(log.read_text("utf-8", "replace").splitlines()[-count:])
    except OSError:
        return ""
