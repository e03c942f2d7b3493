"""What every answer must be, whatever was asked: no fault of ours, described, and in the shape that is described."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema_rs

from proofs.fuzzing.nasties import Nasty
from proofs.fuzzing.wire import Answer

JSON_TYPES = {"application/json", "application/problem+json"}
PROBLEM = "application/problem+json"
# Told by the edge or the protocol, before there is an operation.
BEFORE_ROUTING = {400, 404, 405, 411, 413, 414, 431}


class Judge:
    """Holds the description; `fault` says what is wrong with one answer, or None."""

    def __init__(self, description: dict[str, Any]) -> None:
        self.paths = description["paths"]
        self.components = description["components"]
        self._validators: dict[str, Any] = {}
        self._problem = self._validator({"$ref": "#/components/schemas/Problem"})

    def fault(self, nasty: Nasty, answer: Answer) -> str | None:
        if answer.status == 0:
            # Who is refused in the middle of a long body may see the connection closed before the answer.
            return None if nasty.raw.chunks else f"no answer, but {answer.body[:80]!r}"
        if answer.status >= 500:
            return f"{answer.status} {answer.body[:300].decode('utf-8', 'replace')}"
        if nasty.keyless and self._is_closed(nasty) and answer.status not in {400, 401}:
            return f"a stranger got {answer.status}"
        if b"Invalid HTTP request received." in answer.body and answer.status == 400:
            return None
        if nasty.raw.method == b"HEAD":
            return f"HEAD has a body of {len(answer.body)}" if answer.body else None
        return self._shape(nasty, answer)

    def _is_closed(self, nasty: Nasty) -> bool:
        return "security" in self.paths.get(nasty.path, {}).get(nasty.method.lower(), {})

    def _shape(self, nasty: Nasty, answer: Answer) -> str | None:
        if "request-id" not in answer.headers:
            return f"{answer.status} without a Request-Id"
        if answer.status >= 400 and nasty.path.startswith("/v1/"):
            return self._problem_fault(answer)
        if nasty.path not in self.paths:
            return _page_fault(answer)
        operation = self.paths[nasty.path].get(nasty.raw.method.decode("latin-1").lower())
        described = operation and operation["responses"].get(str(answer.status))
        if operation and not described and answer.status not in BEFORE_ROUTING:
            return f"{answer.status} is not described"
        kind = answer.headers.get("content-type", "").partition(";")[0]
        schema = (described or {}).get("content", {}).get(kind, {}).get("schema")
        if schema is None or kind not in JSON_TYPES:
            return None
        return _first_error(self._validator(schema), answer.body)

    def _problem_fault(self, answer: Answer) -> str | None:
        if answer.headers.get("content-type") != PROBLEM:
            return f"{answer.status} is {answer.headers.get('content-type')}, no problem document"
        fault = _first_error(self._problem, answer.body)
        if fault:
            return fault
        problem = json.loads(answer.body)
        if problem["status"] != answer.status or not re.fullmatch(r"[a-z][a-z0-9_]+", problem["code"]):
            return f"{answer.status} with a problem of {problem['status']} {problem['code']}"
        return None

    def _validator(self, schema: dict[str, Any]) -> Any:
        name = json.dumps(schema, sort_keys=True)
        if name not in self._validators:
            whole = {**schema, "components": self.components}
            self._validators[name] = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
        return self._validators[name]


def _page_fault(answer: Answer) -> str | None:
    """People read it: a page, or a way to one."""
    kind = answer.headers.get("content-type", "")
    if answer.status == 303 or kind.startswith("text/html"):
        return None
    return f"{answer.status} is {kind or 'nothing'}, no page: {answer.body[:100]!r}"


def _first_error(validator: Any, body: bytes) -> str | None:
    try:
        value = json.loads(body)
    except ValueError:
        return f"no JSON: {body[:100]!r}"
    for error in validator.iter_errors(value):
        return f"{'/'.join(map(str, error.instance_path))}: {error.message[:200]}"
    return None
