from __future__ import annotations

import msgspec
import pytest
from typer.testing import CliRunner

from app.cli import app
from app.kit import ids
from app.kit.errors import NotFound
from app.resources import Resources
from tests.factories import MerchantFixture
from tests.factories.money import earned, move

runner = CliRunner()
STRANGER = "mbr_01h2xcejqtf2nbrexx3vqjhp41"


@pytest.fixture
async def crooked(resources: Resources, merchant: MerchantFixture) -> str:
    """The test tenant, with money that no commission stands behind; its live twin is clean."""
    async with resources.db.tenant(merchant.test_id) as session:
        await move(session, merchant.test_id, *earned(ids.new("mbr"), 1_770))
    return merchant.test_id


def test_clean_books_exit_with_zero(merchant: MerchantFixture, resources: Resources) -> None:
    result = runner.invoke(app, ["ledger", "verify", "--merchant", merchant.live_id])
    assert result.exit_code == 0, result.output
    assert "The ledger is clean" in result.stderr
    assert "transactions" in result.stdout


def test_a_difference_is_named_and_exits_with_one(crooked: str) -> None:
    result = runner.invoke(app, ["ledger", "verify", "--merchant", crooked])
    assert result.exit_code == 1
    assert "17.70" in result.stdout
    assert crooked in result.stdout
    assert "1 difference." in result.stderr


def test_scripts_read_json(crooked: str) -> None:
    result = runner.invoke(app, ["ledger", "verify", "--json"])
    report = msgspec.json.decode(result.stdout)
    assert (result.exit_code, report["ok"]) == (1, False)
    mine = [found for found in report["differences"] if found["merchant_id"] == crooked]
    assert [(found["expected_minor"], found["found_minor"]) for found in mine] == [(0, 1_770)]


@pytest.mark.parametrize(
    "words",
    [["verify"], ["statement"], ["statement", "--member", "mbr_01h2xcejqtf2nbrexx3vqjhp41"]],
    ids=["verify", "merchant", "member"],
)
def test_whoever_does_not_exist_has_no_clean_books(words: list[str], merchant: MerchantFixture) -> None:
    whose = merchant.test_id if "--member" in words else "mch_01h2xcejqtf2nbrexx3vqjhp41"
    result = runner.invoke(app, ["ledger", *words, "--merchant", whose])
    assert isinstance(result.exception, NotFound), result.output


def test_what_is_no_member_of_the_merchant_has_no_statement(merchant: MerchantFixture) -> None:
    result = runner.invoke(app, ["ledger", "statement", "--merchant", merchant.test_id, "--member", "mbr_zzz"])
    assert isinstance(result.exception, NotFound), result.output


def test_what_is_no_merchant_is_a_mistake_of_usage() -> None:
    assert runner.invoke(app, ["ledger", "verify", "--merchant", "cmp_1"]).exit_code == 2
