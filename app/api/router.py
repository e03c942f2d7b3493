"""How every noun's router is made."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from app.api.idempotency import StrictRoute
from app.api.schemas import Problem

_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "content": {"application/problem+json": {}}, "description": text}
    for status, text in {
        400: "Unreadable",
        401: "No valid key",
        404: "Not found, or another merchant's",
        409: "The state does not allow it",
        422: "Does not fit",
        429: "Too many requests",
        503: "Try again later",
    }.items()
}


def make_router(tag: str) -> APIRouter:
    return APIRouter(prefix="/v1", tags=[tag], route_class=StrictRoute, responses=_PROBLEMS)
