"""The launcher: what it starts, whom it lets in, and what it survives."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
from pathlib import Path

import asyncpg
import pytest
from redis import Redis

from app import embedded
from app.embedded import processes
from app.embedded.account import find_account
from tests.embedded.helpers import Launcher, query, until


def test_the_runtime_roles_have_no_power_and_the_owner_owns_the_database(own_stack: embedded.Stack) -> None:
    rows = query(
        own_stack.app_url,
        "SELECT rolname, rolsuper, rolbypassrls, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname ~ '^invitree'",
    )
    assert {row[0] for row in rows} == {"invitree_owner", "invitree_app", "invitree_system"}
    assert not any(any(row[1:]) for row in rows)
    owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
    assert query(own_stack.system_url, owner) == [("invitree_owner",)]


def test_a_wrong_password_is_refused(own_stack: embedded.Stack) -> None:
    user, _, rest = own_stack.app_url.partition("@")
    with pytest.raises(asyncpg.InvalidPasswordError):
        query(f"{user.rpartition(':')[0]}:wrong@{rest}", "SELECT 1")


def test_commits_and_the_append_only_file_are_durable(own_stack: embedded.Stack) -> None:
    settings = "SELECT name || '=' || setting FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit')"
    assert query(own_stack.app_url, settings) == [("fsync=on",), ("synchronous_commit=on",)]
    with Redis.from_url(own_stack.redis_url, decode_responses=True) as redis:
        found = redis.config_get("appendonly", "appendfsync", "maxmemory-policy")
    assert found == {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}


def test_databases_are_copied_and_dropped_with_their_connections(own_stack: embedded.Stack) -> None:
    own_stack.create_database("first")
    query(own_stack.url("owner", "first"), "CREATE TABLE kept AS SELECT 7 AS number")
    own_stack.create_database("second", template="first")
    assert query(own_stack.url("owner", "second"), "SELECT number FROM kept") == [(7,)]
    for name in ("first", "second", "first"):
        own_stack.drop_database(name)
    with pytest.raises(embedded.EmbeddedError, match="does not exist"):
        own_stack.create_database("third", template="first")


def test_secrets_and_data_are_readable_by_their_owners_only(own_stack: embedded.Stack, private: Path) -> None:
    folder = private / "shared"
    assert stat.S_IMODE((folder / "passwords.json").stat().st_mode) == 0o600
    for server in ("postgres", "valkey"):
        assert stat.S_IMODE((folder / server).stat().st_mode) == 0o700
    # Nothing above was opened up to make the servers' way.
    assert stat.S_IMODE(private.parents[1].stat().st_mode) == 0o700


def test_servers_run_without_privileges(own_stack: embedded.Stack) -> None:
    """Root's as nobody, anybody else's as themselves."""
    expected = 65534 if os.geteuid() == 0 else os.geteuid()
    for pid in own_stack.pids.values():
        assert Path(f"/proc/{pid}").stat().st_uid == expected


def test_a_second_start_on_the_same_folder_is_refused(own_stack: embedded.Stack, private: Path) -> None:
    with pytest.raises(embedded.InUseError, match=f"process {os.getpid()}"), embedded.start(private / "shared"):
        pass
    assert query(own_stack.app_url, "SELECT 1") == [(1,)]


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(embedded.EmbeddedError, match="cannot be used: Not a directory"),
        embedded.start(tmp_path / "file" / "data"),
    ):
        pass


def test_production_is_refused(private: Path) -> None:
    with pytest.raises(embedded.ProductionError), embedded.start(private / "production", production=True):
        pass
    assert not (private / "production").exists()


def test_a_killed_server_comes_back_under_the_same_url(own_stack: embedded.Stack) -> None:
    query(own_stack.owner_url, "CREATE TABLE survives AS SELECT 11 AS number")
    with Redis.from_url(own_stack.redis_url, decode_responses=True) as redis:
        redis.set("survives", "11")
        before = own_stack.pids
        for pid in before.values():
            os.kill(pid, signal.SIGKILL)
        until(lambda: not set(own_stack.pids.values()) & set(before.values()))
        own_stack.check()
        assert redis.get("survives") == "11"
    assert query(own_stack.owner_url, "SELECT number FROM survives") == [(11,)]


def test_a_killed_launcher_leaves_no_server_and_loses_no_data(private: Path) -> None:
    folder = private / "killed"
    launcher = Launcher(folder)
    query(launcher.told["owner_url"], "CREATE TABLE kept AS SELECT 13 AS number")
    marks = {pid: processes.mark_of(pid) for pid in launcher.told["pids"].values()}
    launcher.kill()
    with embedded.start(folder) as stack:
        assert query(stack.owner_url, "SELECT number FROM kept") == [(13,)]
        assert not any(mark == processes.mark_of(pid) for pid, mark in marks.items())
        sockets = Path(stack.redis_url.removeprefix("unix://")).parent
    assert not sockets.exists()
    assert not Path(launcher.told["redis_url"].removeprefix("unix://")).parent.exists()


def test_launcher_and_servers_killed_together_start_again(private: Path) -> None:
    folder = private / "killed"
    launcher = Launcher(folder)
    os.kill(launcher.process.pid, signal.SIGSTOP)  # so that it cannot start them again
    for pid in launcher.told["pids"].values():
        os.kill(pid, signal.SIGKILL)
    # The stopped launcher reaps nobody: its servers are zombies now, which look alive to PostgreSQL.
    (folder / "lock").unlink()
    try:
        with embedded.start(folder) as stack:
            assert query(stack.owner_url, "SELECT number FROM kept") == [(13,)]
    finally:
        launcher.kill()


def test_a_server_that_outlived_its_launcher_is_ended_before_the_next_starts(private: Path) -> None:
    folder = private / "killed"
    launcher = Launcher(folder)
    orphans = launcher.told["pids"]
    for pid in orphans.values():
        os.kill(pid, signal.SIGSTOP)  # deaf to the signal that the launcher's death brings
    launcher.kill()
    with embedded.start(folder) as stack:
        assert query(stack.owner_url, "SELECT number FROM kept") == [(13,)]
        assert not set(orphans.values()) & set(stack.pids.values())


def test_an_interrupted_first_start_leaves_nothing_half_made(private: Path) -> None:
    folder = private / "interrupted"
    (folder / "postgres.half-made" / "base").mkdir(parents=True)
    with embedded.start(folder, durable=False) as stack:
        assert query(stack.app_url, "SELECT 1") == [(1,)]
    assert not (folder / "postgres.half-made").exists()


def test_a_stranger_with_the_postmasters_number_is_left_alone(private: Path) -> None:
    folder = private / "interrupted"
    with subprocess.Popen(["sleep", "60"], user=find_account().uid) as stranger:
        lock = folder / "postgres" / "postmaster.pid"
        lock.write_text(f"{stranger.pid}\n{folder}\n0\n5432\n\n\n", "ascii")
        with embedded.start(folder, durable=False) as stack:
            assert query(stack.app_url, "SELECT 1") == [(1,)]
        assert stranger.poll() is None
        stranger.terminate()


def test_a_lost_password_file_is_said(private: Path) -> None:
    folder = private / "interrupted"
    (folder / "passwords.json").rename(folder / "elsewhere.json")
    with pytest.raises(embedded.EmbeddedError, match=r"passwords\.json is missing"), embedded.start(folder):
        pass
