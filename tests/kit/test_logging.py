"""Nobody's data in the logs, whatever goes wrong."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.kit import ids, logging
from app.resources import Resources
from tests.factories import MerchantFixture

NAME = "张小明的秘密"


def line_of(error: BaseException, *, as_json: bool) -> str:
    """What is logged of an error that was caught, once whole and once by its `repr`."""
    caught = (type(error), error, error.__traceback__)
    event: Any = {"event": "unhandled_error", "error": repr(error), "exc_info": caught}
    for processor in logging.processors(as_json=as_json):
        event = processor(None, "error", event)
    assert type(error).__name__ in str(event), "which error it was, is said"
    return str(event)


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO members (merchant_id, id, external_id) VALUES (:merchant, :id, :name), (:merchant, :other, :name)",
        "INSERT INTO members (merchant_id, id, nickname, metadata) VALUES (:merchant, :id, :name, NULL)",
        "INSERT INTO members (merchant_id, id, nickname) VALUES (:merchant, :id, repeat(:name, 40))",
        "SELECT CAST(:name AS integer)",
        "SELECT CAST(CAST(:name AS text) AS integer)",
    ],
)
async def test_a_refused_row_is_not_quoted(
    resources: Resources, merchant: MerchantFixture, statement: str, *, as_json: bool
) -> None:
    values: dict[str, Any] = {name: ids.decode("mbr", ids.new("mbr")) for name in ("id", "other")}
    values |= {"merchant": ids.decode("mch", merchant.test_id), "name": NAME}
    named = {name: value for name, value in values.items() if f":{name}" in statement}
    with pytest.raises(DBAPIError) as raised:
        async with resources.db.tenant(merchant.test_id) as session:
            await session.execute(text(statement), named)
    line = line_of(raised.value, as_json=as_json)
    assert NAME not in line
    assert NAME.encode("unicode_escape").decode() not in line
    assert "INSERT INTO members" in line or "CAST" in line, "the statement is what an error is found by"


@pytest.mark.parametrize("as_json", [True, False])
def test_local_variables_are_not_shown(*, as_json: bool) -> None:
    def fail(secret: str) -> None:
        raise RuntimeError(f"a fault after {len(secret)} characters")

    with pytest.raises(RuntimeError) as raised:
        fail("".join(reversed("8765 2143 0831")))
    line = line_of(raised.value, as_json=as_json)
    assert "1380 3412 5678" not in line
    assert "fail" in line


class Person(BaseModel):
    age: int


@pytest.mark.parametrize("as_json", [True, False])
def test_input_that_did_not_fit_is_not_quoted(*, as_json: bool) -> None:
    with pytest.raises(ValidationError) as raised:
        Person.model_validate({"age": NAME})
    line = line_of(raised.value, as_json=as_json)
    assert NAME not in line
    assert "age" in line


def test_settings_show_no_secret(resources: Resources) -> None:
    settings = resources.settings
    shown = repr(settings)
    for secret in (
        settings.database_url,
        settings.database_system_url,
        settings.redis_url,
        settings.secret_key.get_secret_value(),
        settings.encryption_keys.get_secret_value(),
    ):
        assert secret not in shown
