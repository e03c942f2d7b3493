"""Finished posters on disk, for all processes of a machine. A fault of the disk costs a drawing, never a poster."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from app.kit import logging

log = logging.get(__name__)
MOST_BYTES = 512 * 1024 * 1024
# They show people's names and pictures, and are kept no longer than they are likely to be asked for again.
MOST_SECONDS = 86_400
# Between two looks at the whole folder a process writes this share of what may lie there.
_SHARE = 8
_DIGEST = 16


class Shelf:
    """Files named by fingerprint, each with a checksum: a machine that stopped may have left half of one."""

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        self._folder = folder
        self._most = most_bytes
        self._written = most_bytes  # the first thing is to look what others left

    def get(self, key: str) -> bytes | None:
        """What was put there within a day; nothing where that is gone, old or damaged."""
        with suppress(OSError):
            path = self._path(key)
            if not _is_private(self._folder) or _age(path) > MOST_SECONDS:
                return None
            data = path.read_bytes()
            if data[:_DIGEST] == _digest(key, data[_DIGEST:]):
                return data[_DIGEST:]
        return None

    def put(self, key: str, content: bytes) -> None:
        """Seen by others at once as a whole, or not at all."""
        try:
            self._require_own()
            self._written += len(content)
            if self._written * _SHARE >= self._most:
                self._make_room()
            self._write(self._path(key), _digest(key, content) + content)
        except OSError as error:
            log.warning("poster_not_shelved", error=str(error))

    def tidy(self) -> None:
        """Remove what is too old, or too much."""
        try:
            if self._folder.exists():
                self._require_own()
                self._make_room()
        except OSError as error:
            log.warning("shelf_not_tidied", error=str(error))

    def _write(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            Path(name).replace(path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise

    def _require_own(self) -> None:
        """Each time: what tidies up a folder for temporary files may have taken it away, and anybody made it again."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_private(self._folder):
            raise PermissionError(f"{self._folder} is not this user's alone")

    def _make_room(self) -> None:
        self._written = 0
        left = self._most - self._most // _SHARE
        for written_at, length, path in sorted(self._files(), reverse=True):
            left -= length
            if left < 0 or time.time() - written_at > MOST_SECONDS:
                path.unlink(missing_ok=True)

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        for path in self._folder.glob("??/*"):
            with suppress(FileNotFoundError):  # another process tidies up as well
                about = path.stat()
                yield about.st_mtime, about.st_size, path

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / key


def _is_private(folder: Path) -> bool:
    """In a folder that all may write to, somebody else may have been first."""
    about = folder.lstat()
    return about.st_uid == os.getuid() and not about.st_mode & 0o077


def _age(path: Path) -> float:
    return time.time() - path.stat().st_mtime


def _digest(key: str, content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST, key=key.encode()).digest()
