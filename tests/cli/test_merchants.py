from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner, Result

from app.cli import app
from app.kit.errors import Conflict, NotFound
from app.resources import Resources

runner = CliRunner()


def run(*arguments: str) -> Result:
    return runner.invoke(app, ["merchants", *arguments])


def read(*arguments: str) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return msgspec.json.decode(result.stdout)


def register(name: str, *more: str) -> Any:
    return read("create", "--name", name, "--phone", f"136{random.randrange(10**8):08d}", *more)


def test_an_operator_registers_and_vouches_and_both_sides_get_days(resources: Resources) -> None:
    first = register("清茶书社")
    second = register("山间咖啡", "--invite-code", first["invite_code"])
    assert second["secret_key"].startswith("ivt_live_")
    verified = read("verify", "--merchant", second["twin_id"])
    assert verified["verified"] is True
    shown = {merchant["id"]: merchant for merchant in read("list")}
    ends = [shown[made["id"]]["membership"]["ends_at"] for made in (first, second)]
    assert all(end > made["membership"]["ends_at"] for end, made in zip(ends, (first, second), strict=True))
    again = read("verify", "--merchant", second["id"])
    assert again["membership"]["ends_at"] == ends[1]


def test_people_are_listed_and_added_by_tenant(resources: Resources) -> None:
    made = register("清茶书社")
    people = read("users", "--merchant", made["twin_id"], "--add", "王会计", "--role", "finance")
    assert [(person["name"], person["role"]) for person in people] == [("王会计", "finance"), ("清茶书社", "owner")]
    assert [person["role"] for person in read("users", "--merchant", made["id"])] == ["owner"]


def test_tables_are_for_people(resources: Resources) -> None:
    made = register("清茶书社")
    listed = run("list")
    assert (listed.exit_code, "清茶书社" in listed.stdout) == (0, True)
    shown = run("show", "--merchant", made["id"])
    assert made["invite_code"] in shown.stdout
    assert made["secret_key"] not in shown.stdout


def test_refusals_come_out_as_the_rooms_raise_them(resources: Resources) -> None:
    phone = f"136{random.randrange(10**8):08d}"
    assert run("create", "--name", "x", "--phone", phone).exit_code == 0
    for expected, arguments in (
        (Conflict, ["create", "--name", "x", "--phone", phone]),
        (NotFound, ["show", "--merchant", "mch_nonsense"]),
        (NotFound, ["users", "--merchant", "mch_01h2xcejqtf2nbrexx3vqjhp41"]),
    ):
        with pytest.raises(expected):
            raise run(*arguments).exception or AssertionError(arguments)
    assert run("create", "--name", "x").exit_code == 2


def test_seed_makes_the_house_and_again_changes_nothing(resources: Resources) -> None:
    first, second = runner.invoke(app, ["seed"]), runner.invoke(app, ["seed"])
    assert first.exit_code == second.exit_code == 0
    assert first.stderr == second.stderr
    assert "mch_" in first.stderr
