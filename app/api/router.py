"""How every noun's router is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fastapi import APIRouter
from fastapi.dependencies.models import Dependant

from app.api import deps
from app.api.idempotency import MOST_CHARACTERS, StrictRoute
from app.api.schemas import Problem

_EVERYWHERE = {
    400: "Unreadable",
    401: "No valid key",
    403: "Not allowed to this key or person",
    404: "Not found, or another merchant's",
    409: "The state does not allow it",
    413: "The body is too large",
    422: "Does not fit",
    429: "Too many requests",
    503: "Try again later",
}
_CLAIMING = frozenset({deps.get_tenant, deps.get_account, deps.get_public})
_IDEMPOTENCY_KEY = {
    "in": "header",
    "name": "Idempotency-Key",
    "description": (
        "Names this request, whatever becomes of its answer: the same key and body again do nothing more and get the"
        " first answer, with `Idempotency-Replayed: true`. With another body: 422 `idempotency_key_reused`; while the"
        " first one runs: 409 `idempotency_in_progress`. Kept for 30 days."
    ),
    "schema": {
        "type": "string",
        "minLength": 1,
        "maxLength": MOST_CHARACTERS,
        "pattern": "^[!-~]([ -~]*[!-~])?$",
    },
    "example": "0f6c2b7e-5d0e-4f43-9f0a-3c1b6f5f5a10",
}


class DescribedRoute(StrictRoute):
    """Tells of `Idempotency-Key` wherever it is taken. As a parameter of the framework's own, a missing one would be a
    422, and asked for before the caller is known."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        asked = set(_calls(self.dependant))
        if "POST" in (self.methods or ()) and asked & _CLAIMING:
            key = _IDEMPOTENCY_KEY | {"required": deps.require_idempotency_key in asked}
            self.openapi_extra = {**(self.openapi_extra or {}), "parameters": [key]}


def _calls(dependant: Dependant) -> Iterator[Any]:
    yield dependant.call
    for each in dependant.dependencies:
        yield from _calls(each)


def make_router(tag: str) -> APIRouter:
    return APIRouter(prefix="/v1", tags=[tag], route_class=DescribedRoute, responses=problems(_EVERYWHERE))


def pages(texts: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    """As `problems`, of what people open: they are told in a page."""
    told = {"content": {"text/html": {"schema": {"type": "string"}}}}
    return {status: {**told, "description": text} for status, text in texts.items()}


def problems(texts: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    """How problem documents are described, by status."""
    described = {"model": Problem, "content": {"application/problem+json": {}}}
    return {status: {**described, "description": text} for status, text in texts.items()}
