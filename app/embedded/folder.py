"""The data folder: who uses it, its passwords, and a record of the children for the one who comes after a crash."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from app.embedded.account import Account
from app.embedded.errors import EmbeddedError, InUseError

PASSWORDS = ("postgres", "invitree_owner", "invitree_app", "invitree_system")
SOCKET_PREFIX = "invitree-"
# Not the platform's folder for temporary files: macOS' has 60 characters, and a socket's path at most 103.
SOCKET_PARENT = Path("/tmp")  # noqa: S108 - the folder made in it is private and has a random name


@contextlib.contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Keeps a second launcher out. The kernel lets go when this process ends, however it ends."""
    with open_lock(folder) as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            holder = handle.read().strip()
            raise InUseError(
                f"The data folder {folder} is in use by another Invitree{f' (process {holder})' if holder else ''}: "
                "stop that one, or choose another folder."
            ) from None
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield


def open_lock(folder: Path) -> TextIO:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return (folder / "lock").open("a+", encoding="ascii")
    except OSError as error:
        raise EmbeddedError(f"The data folder {folder} cannot be used: {error.strerror}.") from None


def load_passwords(folder: Path, *, cluster_exists: bool) -> dict[str, str]:
    path = folder / "passwords.json"
    try:
        found: dict[str, str] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        if cluster_exists:
            raise EmbeddedError(f"{path} is missing: without it the database beside it cannot be opened.") from None
        found = {role: secrets.token_urlsafe(24) for role in PASSWORDS}
        write_private(path, found)
    return found


def write_private(path: Path, content: Any) -> None:
    """Whole or not at all, on disk before it returns, readable by its owner only."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    Path(name).replace(path)


def read_record(folder: Path) -> dict[str, Any]:
    try:
        record = json.loads((folder / "children.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def write_record(folder: Path, record: dict[str, Any]) -> None:
    write_private(folder / "children.json", record)


def make_socket_folder(account: Account) -> Path:
    """Short, because a socket's path has at most 107 bytes, and new each time: what outlived a crash cannot connect."""
    folder = Path(tempfile.mkdtemp(prefix=SOCKET_PREFIX, dir=SOCKET_PARENT))
    account.own(folder)
    return folder


def remove_socket_folder(account: Account, folder: Path) -> None:
    if folder.parent != SOCKET_PARENT or not folder.name.startswith(SOCKET_PREFIX):
        return
    with contextlib.suppress(FileNotFoundError):
        if folder.lstat().st_uid == account.uid:
            shutil.rmtree(folder, ignore_errors=True)
