"""Ids on the command line, refused before anything is done."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.kit import ids

MERCHANT = ("--merchant", ids.new("mch"))


@pytest.mark.parametrize(
    "words",
    [
        ("payouts", "build", *MERCHANT, "--channel", "file"),
        ("payouts", "approve", *MERCHANT, "--batch", ids.new("bat")),
        ("commissions", "settle", "--execute"),
        ("merchants", "funding", *MERCHANT, "--mode", "prepaid"),
        ("income", "report", *MERCHANT),
    ],
    ids=lambda words: "-".join(words[:2]),
)
@pytest.mark.parametrize("user", [ids.new("key"), "usr_1"], ids=["a key", "no id"])
def test_nobody_acts_as_a_server(words: tuple[str, ...], user: str) -> None:
    found = CliRunner().invoke(app, [*words, "--as", user])
    assert found.exit_code == 2
    assert "a user's id begins with usr_" in found.output
