"""dev.py: when it makes the environment anew, and what its commands say."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import dev


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A checkout with an empty lock; what would be installed is only noted."""
    done: list[str] = []
    places = {"ROOT": ".", "VENV": ".venv", "STAMP": ".venv/stamp", "LOCK": "lock", "PYTHON": ".venv/bin/python"}
    for name, path in places.items():
        monkeypatch.setattr(dev, name, tmp_path / path)
    dev.LOCK.touch()

    def make_venv() -> None:
        done.append("venv")
        shutil.rmtree(dev.VENV, ignore_errors=True)
        dev.PYTHON.parent.mkdir(parents=True)
        dev.PYTHON.touch()

    monkeypatch.setattr(dev, "make_venv", make_venv)
    monkeypatch.setattr(dev, "install_lock", lambda: done.append("lock"))
    monkeypatch.setattr(dev, "install_project", lambda: done.append("project"))
    return done


def test_the_second_start_installs_nothing(made: list[str]) -> None:
    dev.ensure_environment()
    dev.ensure_environment()
    assert made == ["venv", "lock", "project"]


def test_a_changed_lock_is_installed_into_the_environment_that_is_there(made: list[str]) -> None:
    dev.ensure_environment()
    dev.LOCK.write_text("another==1", "utf-8")
    dev.ensure_environment()
    assert made == ["venv", "lock", "project", "lock", "project"]


def _interrupt() -> None:
    raise KeyboardInterrupt


def test_an_interrupted_install_is_begun_anew(made: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(dev, "install_lock", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            dev.ensure_environment()
    dev.ensure_environment()
    assert made == ["venv", "venv", "lock", "project"]


def _move() -> None:
    dev.STAMP.write_text(json.dumps({**dev.wanted_stamp(), "root": "/elsewhere"}), "utf-8")


def _remove_interpreter() -> None:
    dev.PYTHON.unlink()
    dev.PYTHON.symlink_to("/nowhere/python3")


def _garble_stamp() -> None:
    dev.STAMP.write_text('{"python":', "utf-8")


@pytest.mark.parametrize("spoil", [_move, _remove_interpreter, _garble_stamp])
def test_a_broken_environment_is_made_anew(made: list[str], spoil: Callable[[], None]) -> None:
    dev.ensure_environment()
    spoil()
    dev.ensure_environment()
    assert made == ["venv", "lock", "project"] * 2


def test_without_ensurepip_an_ordinary_user_is_told_the_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    with pytest.raises(dev.SetupError, match=r"sudo apt-get install -y python3\.\d+-venv"):
        dev.ensure_ensurepip()


def test_without_chromium_the_last_line_says_what_was_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands: list[list[str]] = []

    def note(command: list[str], **_: str) -> int:
        commands.append(command)
        return 5

    monkeypatch.setattr(dev, "find_chromium", lambda: None)
    monkeypatch.setattr(dev, "run", note)
    assert dev.test(["tests/kit", "-x"]) == 5
    assert commands[0][-3:] == ["tests/kit", "-x", f"--ignore={dev.ROOT / 'tests' / 'browser'}"]
    assert "browser tests" in capsys.readouterr().out.splitlines()[-1]


def test_check_runs_every_step_and_fails_when_one_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[str] = []

    def step(name: str, code: int) -> Callable[[], int]:
        def act() -> int:
            ran.append(name)
            return code

        return act

    codes = {"format": 0, "types": 1, "tests": 0}
    monkeypatch.setattr(dev, "steps", lambda: {name: step(name, code) for name, code in codes.items()})
    assert dev.check([]) == 1
    assert ran == ["format", "types", "tests"]
    assert "FAILED (1)" in capsys.readouterr().out
    assert dev.check(["--skip", "types"]) == 0
    assert ran[3:] == ["format", "tests"]
    assert dev.check(["--skip", "nonsense"]) == 2


def test_the_second_run_takes_the_oldest_servers_that_must_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told: list[dict[str, str]] = []

    def note(_command: list[str], **variables: str) -> int:
        told.append(variables)
        return 0

    monkeypatch.setattr(dev, "run", note)
    monkeypatch.setattr(dev, "OLDEST_POSTGRES", tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    redis = tmp_path / "redis-server"
    redis.write_text("#!/bin/sh\necho 'Redis server v=7.0.15 sha=00000000:0'\n", "ascii")
    redis.chmod(0o755)
    (tmp_path / "postgres").touch()
    assert dev.test_on_oldest() == 0
    assert told == [{"INVITREE_TEST_POSTGRES": str(tmp_path), "INVITREE_TEST_REDIS": str(redis)}]


def _remove_postgres(folder: Path) -> None:
    (folder / "postgres").unlink()


def _upgrade_redis(folder: Path) -> None:
    (folder / "redis-server").write_text("#!/bin/sh\necho 'Redis server v=8.0.2'\n", "ascii")


@pytest.mark.parametrize("spoil", [_remove_postgres, _upgrade_redis])
def test_without_the_oldest_servers_the_second_run_is_left_out_but_not_in_ci(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Path], None],
) -> None:
    monkeypatch.setattr(dev, "OLDEST_POSTGRES", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("postgres", "redis-server"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'Redis server v=7.0.15'\n", "ascii")
        (tmp_path / name).chmod(0o755)
    spoil(tmp_path)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(dev, "steps", lambda: {"tests-oldest": dev.test_on_oldest})
    assert dev.check([]) == 0
    printed = capsys.readouterr().out
    assert "apt-get install postgresql-15 redis-server" in printed
    assert "left out" in printed.splitlines()[-1]
    monkeypatch.setenv("CI", "true")
    assert dev.check([]) == 1
