"""Stacks of these tests' own: the servers of the other tests are not theirs to kill."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import embedded
from tests.factories.servers import chosen


@pytest.fixture(scope="module")
def private() -> Iterator[Path]:
    """Below a folder that nobody else may pass, as `/root` is."""
    with tempfile.TemporaryDirectory(prefix="ivt-", ignore_cleanup_errors=True) as folder:
        closed = Path(folder) / "closed"
        closed.mkdir(mode=0o700)
        yield closed / "a folder with blanks" / ("a name that makes every socket below it too long for the system " * 2)


@pytest.fixture(scope="module")
def own_stack(private: Path) -> Iterator[embedded.Stack]:
    with embedded.start(private / "shared", binaries=chosen()) as stack:
        yield stack
