"""Who the servers run as, and what that user can read."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from app.embedded.errors import EmbeddedError

NOBODY = 65534


@dataclass(frozen=True, slots=True)
class Account:
    """PostgreSQL refuses to run as root: root's servers are `nobody`'s, everybody else's are their own."""

    uid: int
    gid: int
    dropped: bool

    def own(self, path: Path) -> None:
        if self.dropped:
            os.chown(path, self.uid, self.gid)

    def can_read(self, path: Path) -> bool:
        """Whether every folder above can be passed and the file can be read and run."""
        if not self.dropped:
            return True
        resolved = path.resolve()
        return resolved.stat().st_mode & 0o005 == 0o005 and all(
            folder.stat().st_mode & 0o001 for folder in resolved.parents
        )

    def make_folder(self, path: Path) -> None:
        """A private folder of the servers; one that belongs to somebody else is refused, never opened up."""
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.stat()
        if found.st_uid not in (self.uid, os.geteuid()):
            raise EmbeddedError(f"{path} belongs to another user (id {found.st_uid}).")
        self.own(path)
        path.chmod(0o700)


def find_account() -> Account:
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), dropped=False)
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return Account(NOBODY, NOBODY, dropped=True)
    return Account(entry.pw_uid, entry.pw_gid, dropped=True)
