"""The description of the API: committed, complete, and true."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from app.api.schemas import Body
from app.cli.openapi import COMMITTED, describe

ROOT = Path(__file__).resolve().parents[2]


def bodies(description: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every JSON body: its operation, and its schema."""
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
            if schema is not None:
                yield f"{method.upper()} {path}", resolve(description, schema)


def resolve(description: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = description["components"]["schemas"][name] if name else schema
    return found


def has_example(schema: dict[str, Any]) -> bool:
    """One of the whole, or one of each field, from which viewers put the whole together."""
    fields = schema.get("properties", {}).values()
    return bool(schema.get("examples")) or (bool(fields) and all(field.get("examples") for field in fields))


def test_the_committed_description_is_what_the_code_says() -> None:
    assert COMMITTED == ROOT / "openapi.json"
    said = describe()
    assert COMMITTED.read_text("utf-8") == said, "run `python3 dev.py openapi --write` and commit openapi.json"


def test_it_is_openapi_3_1_and_every_operation_has_its_own_id(app: FastAPI) -> None:
    description = app.openapi()
    assert description["openapi"].startswith("3.1")
    operations = [operation for path in description["paths"].values() for operation in path.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)


def test_every_body_has_an_example(app: FastAPI) -> None:
    assert [name for name, schema in bodies(app.openapi()) if not has_example(schema)] == []


def test_every_example_is_a_body_that_is_taken(app: FastAPI) -> None:
    models = list(body_models(Body))
    assert len(models) >= len(list(bodies(app.openapi())))
    for model in models:
        for example in model.model_json_schema().get("examples", []):
            model.model_validate_json(json.dumps(example))


def body_models(parent: type[Body]) -> Iterator[type[Body]]:
    for model in parent.__subclasses__():
        yield model
        yield from body_models(model)
