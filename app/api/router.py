"""How every noun's router is made."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from app.api.idempotency import StrictRoute
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


def make_router(tag: str) -> APIRouter:
    return APIRouter(prefix="/v1", tags=[tag], route_class=StrictRoute, responses=problems(_EVERYWHERE))


def pages(texts: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    """As `problems`, of what people open: they are told in a page."""
    told = {"content": {"text/html": {"schema": {"type": "string"}}}}
    return {status: {**told, "description": text} for status, text in texts.items()}


def problems(texts: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    """How problem documents are described, by status."""
    described = {"model": Problem, "content": {"application/problem+json": {}}}
    return {status: {**described, "description": text} for status, text in texts.items()}
