"""Valkey (or Redis): append-only file on, never evicting, reached through a socket in a private folder."""

from __future__ import annotations

import contextlib
import signal
import socket
from pathlib import Path

from app.embedded import processes
from app.embedded.account import Account
from app.embedded.server import Home, spawn
from app.embedded.supervisor import Program

SOCKET = "redis.sock"


def make_program(account: Account, binary: Path, home: Home, sockets: Path, *, durable: bool) -> Program:
    path = sockets / SOCKET
    settings = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "700",
        # The working folder, which the child has entered through a descriptor.
        "dir": "./",
        "daemonize": "no",
        "save": "",
        "appendonly": "yes" if durable else "no",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
    }
    command = [str(binary), *(word for name, value in settings.items() for word in (f"--{name}", value))]
    return Program(
        name="valkey",
        spawn=lambda: spawn(account, home, command, signal.SIGTERM),
        explain=home.explain,
        may_start=lambda: not processes.working_in(home.path, binary),
        is_ready=lambda _pid: answers(path),
        stop_signals=(signal.SIGTERM, signal.SIGKILL),
    )


def answers(path: Path) -> bool:
    """False while it loads its file, too."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1.0)
        connection.connect(str(path))
        connection.sendall(b"PING\r\n")
        return connection.recv(64).startswith(b"+PONG")
    return False
