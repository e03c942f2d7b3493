"""What the platform's operator does with merchants' funds: tried first, done once, written down on both sides."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import msgspec
import pytest
from sqlalchemy import select
from typer.testing import CliRunner, Result

from app.cli import app
from app.db.session import Database
from app.kit.errors import Conflict, Forbidden, NotFound, Unprocessable
from app.models import AuditEntry, Merchant
from app.resources import Resources
from app.settings import get_settings

runner = CliRunner()


def run(*arguments: str) -> Result:
    return runner.invoke(app, ["merchants", *arguments])


def read(*arguments: str) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return msgspec.json.decode(result.stdout)


def person(role: str = "finance") -> str:
    """Of the platform."""
    return str(read("users", "--add", "平台财务", "--role", role)[0]["id"])


@pytest.fixture
def who(resources: Resources) -> tuple[str, str]:
    return "--as", person()


@pytest.fixture
def merchant_id(resources: Resources) -> str:
    made = read("create", "--name", "清茶书社", "--phone", f"136{random.randrange(10**8):08d}")
    return str(made["id"])


async def _audits(merchant_id: str) -> list[tuple[str, bool]]:
    """Actions upon the merchant, and whether they stand with the house."""
    db = Database.from_settings(get_settings())
    async with db.system() as session:
        found = await session.execute(
            select(AuditEntry.action, Merchant.is_house)
            .join(Merchant, Merchant.id == AuditEntry.merchant_id)
            .where(AuditEntry.subject_id == merchant_id, AuditEntry.action != "merchant.registered")
        )
        rows = sorted((action, is_house) for action, is_house in found)
    await db.close()
    return rows


def audits(merchant_id: str) -> list[tuple[str, bool]]:
    return asyncio.run(_audits(merchant_id))


def test_money_by_transfer_is_tried_first_and_added_once(merchant_id: str, who: tuple[str, str]) -> None:
    wanted = ("top-up", "--merchant", merchant_id, "--amount", "100000", "--reference", "bank-1", *who)
    tried = read(*wanted)
    assert (tried["executed"], tried["added"], tried["funding"]["available_minor"]) == (False, True, 100_000)
    assert read("funding", "--merchant", merchant_id)["funding"]["available_minor"] == 0
    assert read(*wanted, "--execute")["added"] is True
    again = read(*wanted, "--execute")
    assert (again["added"], again["funding"]["available_minor"]) == (False, 100_000)
    assert audits(merchant_id) == [("funds.topped_up", False), ("funds.topped_up", True)]


def test_the_mode_is_the_platforms_to_set(merchant_id: str, who: tuple[str, str]) -> None:
    wanted = ("funding", "--merchant", merchant_id, "--mode", "prepaid", *who)
    assert read(*wanted)["funding"]["mode"] == "prepaid"
    assert read("show", "--merchant", merchant_id)["funding"] == "own"
    for _ in range(2):
        read(*wanted, "--execute")
    assert read("show", "--merchant", merchant_id)["funding"] == "prepaid"
    assert audits(merchant_id) == [("merchant.funding_changed", False), ("merchant.funding_changed", True)]
    shown = run("funding", "--merchant", merchant_id)
    assert "prepaid" in shown.stdout
    assert "0.00" in shown.stdout


def test_what_is_refused_changes_nothing(merchant_id: str, who: tuple[str, str]) -> None:
    done = ("top-up", "--merchant", merchant_id, "--reference", "bank-1", *who, "--execute")
    read(*done, "--amount", "500")
    other = run(*done, "--amount", "600")
    assert isinstance(other.exception, Conflict)
    assert other.exception.code == "reference_reused"
    for wrong in (("--amount", "0"), ("--amount", "5.00"), ("--amount", "1", "--reference", " ")):
        assert run(*done, *wrong).exit_code == 2
    unknown = run("funding", "--merchant", "mch_01h2xcejqtf2nbrexx3vqjhp41", "--mode", "prepaid", *who, "--execute")
    assert isinstance(unknown.exception, NotFound)
    assert read("funding", "--merchant", merchant_id)["funding"]["funds_minor"] == 500


@pytest.mark.parametrize("currency", ["cny", "YUAN", "USD", "元", ""])
def test_money_that_nobody_could_be_paid_out_of_is_not_taken(
    merchant_id: str, who: tuple[str, str], currency: str
) -> None:
    words = ["--amount", "1", "--reference", "bank-2", "--currency", currency, *who, "--execute"]
    refused = run("top-up", "--merchant", merchant_id, *words)
    is_rule = isinstance(refused.exception, Unprocessable) and refused.exception.code == "currency_not_sold"
    assert (refused.exit_code == 2) != is_rule == (currency == "USD")
    assert audits(merchant_id) == []


def test_a_refund_of_what_was_no_top_up_is_refused(merchant_id: str, who: tuple[str, str]) -> None:
    words = [*who, "--order", "ord_01h2xcejqtf2nbrexx3vqjhp41", "--amount", "100", "--reference", "back-1"]
    refused = run("refund-top-up", "--merchant", merchant_id, *words, "--execute")
    assert isinstance(refused.exception, NotFound)
    assert run("refund-top-up", "--merchant", merchant_id, *words[:-1], " ").exit_code == 2


async def _actors(merchant_id: str) -> list[str]:
    db = Database.from_settings(get_settings())
    async with db.system() as session:
        named = select(AuditEntry.actor).where(AuditEntry.subject_id == merchant_id, AuditEntry.action.like("%fund%"))
        found = list(await session.scalars(named))
    await db.close()
    return found


def test_a_person_of_the_platform_has_to_be_named(merchant_id: str) -> None:
    mode = ("funding", "--merchant", merchant_id, "--mode", "prepaid", "--execute")
    money = ("top-up", "--merchant", merchant_id, "--amount", "100", "--reference", "bank-1", "--execute")
    for words in (mode, money):
        assert run(*words).exit_code == 2
    own = read("users", "--merchant", merchant_id, "--add", "王会计", "--role", "owner")[0]["id"]
    for words in (mode, money):
        assert isinstance(run(*words, "--as", own).exception, NotFound), "a merchant's own people may not"
        viewer = run(*words, "--as", person("viewer")).exception
        assert isinstance(viewer, Forbidden)
        assert viewer.code == "role_not_allowed"
    assert asyncio.run(_actors(merchant_id)) == []
    finance = person()
    for words in (mode, money):
        read(*words, "--as", finance)
    assert set(asyncio.run(_actors(merchant_id))) == {finance}
    assert read("funding", "--merchant", merchant_id)["funding"]["mode"] == "prepaid", "to look takes nobody"
