"""The description of the API: committed, complete, and true."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from app.api.schemas import Body
from app.cli.openapi import COMMITTED, describe

ROOT = Path(__file__).resolve().parents[2]
WILD_KEY = {"Idempotency-Key": "x" * 256}
# Events have ids of their own, providers repeat themselves, and a preview changes nothing.
WITHOUT_KEYS = {
    "/v1/events",
    "/v1/payment-notifications/{kind}/{merchant_id}",
    "/v1/poster-templates/{template_id}/preview",
}


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


def posts(description: dict[str, Any]) -> Iterator[tuple[str, bool | None]]:
    """The address of each, and whether it wants an Idempotency-Key; None where it takes none."""
    for path, operations in description["paths"].items():
        if path.startswith("/v1/") and "post" in operations:
            named = [each for each in operations["post"].get("parameters", []) if each["name"] == "Idempotency-Key"]
            yield path, named[0]["required"] if named else None


async def code_of(api: httpx.AsyncClient, path: str, **headers: str) -> str | None:
    answer = await api.post(path, json={}, headers=headers)
    code: str | None = answer.json().get("code") if isinstance(answer.json(), dict) else None
    return code


async def test_idempotency_keys_are_shown_where_they_are_taken(app: FastAPI, api: httpx.AsyncClient) -> None:
    """A key that cannot be one is refused wherever keys are looked at, before anything else is."""
    described = dict(posts(app.openapi()))
    taken = [path for path in described if await code_of(api, path, **WILD_KEY) == "idempotency_key_invalid"]
    assert taken == [path for path, wanted in described.items() if wanted is not None]
    required = [path for path in described if await code_of(api, path) == "idempotency_key_missing"]
    assert required == [path for path, wanted in described.items() if wanted]
    assert len(required) > 15
    assert {path for path, wanted in described.items() if wanted is None} == WITHOUT_KEYS
