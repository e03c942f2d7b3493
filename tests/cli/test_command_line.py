"""Exit codes, and the secrets of the embedded default."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from app import cli, embedded
from app.cli import environment
from app.embedded import EmbeddedError, InUseError, ProductionError
from app.kit.errors import Conflict, NotFound, Unavailable


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Conflict("batch_not_built", "The batch is not built."), 3),
        (NotFound("batch_not_found", "No such batch."), 1),
        (Unavailable("database_away", "The database is away."), 1),
        (InUseError("in use"), 3),
        (ProductionError("not for production"), 3),
        (EmbeddedError("does not start"), 1),
    ],
)
def test_errors_end_with_their_exit_code(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == code
    assert capsys.readouterr().err.strip()


def test_keys_are_made_once_and_readable_by_their_owner_only(tmp_path: Path) -> None:
    first = environment.load_keys(tmp_path)
    assert environment.load_keys(tmp_path) == first
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600


def test_commands_beside_a_server_use_its_number_of_shards(
    stack: embedded.Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACK_SHARDS", "3")
    assert environment.describe(stack, tmp_path)["TRACK_SHARDS"] == "3"
    monkeypatch.delenv("TRACK_SHARDS")
    assert environment.describe(stack, tmp_path)["TRACK_SHARDS"] == "1"
